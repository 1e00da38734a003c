"""The only wiring: from settings to a studio whose parts know each other."""

from __future__ import annotations

from dataclasses import dataclass

from services.accounts import Accounts
from services.albums import Albums
from services.attachments import Attachments
from services.aws.endpoints import Endpoints
from services.aws.objects import Objects
from services.aws.queues import Queue
from services.aws.session import Clients, make_clients
from services.aws.table import Table
from services.aws.telemetry import Metrics
from services.batches import Batches
from services.catalogue import Catalogue
from services.cold_starts import ColdStarts
from services.completion import Completion
from services.costs import Costs
from services.dispatch import Dispatcher
from services.drafts import Drafts
from services.endpoint_status import EndpointStatus
from services.erasure import Erasure
from services.estimates import Estimator
from services.export_build import ExportBuilder
from services.exports import Exports
from services.image_marks import ImageMarks
from services.images import Images
from services.inputs import Inputs
from services.job_store import JobStore
from services.jobs import Admission, Jobs
from services.ledger import Ledger
from services.live import LiveJobs
from services.moderation import Moderation
from services.passports import Passports
from services.personal_data import PersonalData
from services.preferences import PreferenceBook
from services.prompt_book import PromptBook
from services.reconcile import Reconciler
from services.repeats import Repeats
from services.search import Search
from services.search_index import SearchIndex
from services.settings import Settings
from services.shares import Shares
from services.sources import Sources
from services.sweep import Sweeper
from services.trash import Trash
from services.turns import Turns
from services.wakes import Wakes


@dataclass(frozen=True)
class Studio:
    """Everything a door or a process of the studio uses."""

    settings: Settings
    catalogue: Catalogue
    jobs: Jobs
    batches: Batches
    drafts: Drafts
    prompts: PromptBook
    preferences: PreferenceBook
    sources: Sources
    images: Images
    marks: ImageMarks
    albums: Albums
    trash: Trash
    search: Search
    search_index: SearchIndex
    exports: Exports
    personal_data: PersonalData
    export_builder: ExportBuilder
    shares: Shares
    repeats: Repeats
    passports: Passports
    ledger: Ledger
    costs: Costs
    cold_starts: ColdStarts
    accounts: Accounts
    live: LiveJobs
    endpoints: EndpointStatus
    completion: Completion
    sweeper: Sweeper
    reconciler: Reconciler
    results_queue: Queue
    metrics: Metrics

    def close(self) -> None:
        """Ends the background threads."""
        self.live.close()
        self.endpoints.close()


def build(settings: Settings, clients: Clients | None = None) -> Studio:
    """Wires a studio; connects to nothing. Raises ValueError when `settings` offers a model without a card."""
    clients = clients or make_clients(settings)
    catalogue = Catalogue.load(frozenset(settings.endpoints))
    table = Table(clients.dynamodb, settings.table)
    input_objects = Objects(clients.s3, settings.inputs_bucket)
    outputs = Objects(clients.s3, settings.outputs_bucket)
    pictures = Objects(clients.s3, settings.images_bucket)
    library = Objects(clients.s3, settings.library_bucket)
    endpoints = Endpoints(clients.sagemaker_runtime, clients.sagemaker)
    status = EndpointStatus(endpoints, settings.endpoints)
    store = JobStore(table)
    attachments = Attachments(table, pictures)
    images = Images(table, pictures, attachments)
    sources = Sources(input_objects, pictures, images, store)
    inputs = Inputs(input_objects, sources)
    ledger = Ledger(table, settings)
    estimator = Estimator(table, catalogue, store)
    completion = Completion(store, ledger, images, outputs, estimator, Wakes(table, outputs))
    dispatcher = Dispatcher(store, endpoints, inputs, outputs, settings)
    sweeper = Sweeper(store, Turns(store, status, settings), dispatcher, completion, outputs)
    admission = Admission(catalogue, Moderation.load(), estimator, status, inputs)
    exports = Exports(table, library)
    search_index = SearchIndex(table, library, exports.drop_holding)
    erasure = Erasure(table, store, images, search_index, exports, (input_objects, outputs))
    jobs = Jobs(store, admission, ledger, sweeper, completion, erasure)
    batches = Batches(jobs, admission, ledger)
    accounts = Accounts(table)
    albums = Albums(table)
    prompts = PromptBook(table, store)
    preferences = PreferenceBook(table, catalogue)
    search = Search(table, search_index)
    shares = Shares(table, images, pictures, attachments)
    repeats = Repeats(catalogue)
    return Studio(
        settings=settings,
        catalogue=catalogue,
        jobs=jobs,
        batches=batches,
        drafts=Drafts(store, images, admission, inputs, batches),
        prompts=prompts,
        preferences=preferences,
        sources=sources,
        images=images,
        marks=ImageMarks(table),
        albums=albums,
        trash=Trash(table, images),
        search=search,
        search_index=search_index,
        exports=exports,
        personal_data=PersonalData(
            exports, store, accounts, ledger, (search, albums, prompts, preferences, shares)
        ),
        export_builder=ExportBuilder(table, exports, library, pictures),
        repeats=repeats,
        passports=Passports(table, jobs, images, repeats, pictures),
        shares=shares,
        ledger=ledger,
        costs=Costs(table),
        cold_starts=ColdStarts(table, status),
        accounts=accounts,
        live=LiveJobs(store, outputs, completion),
        endpoints=status,
        completion=completion,
        sweeper=sweeper,
        reconciler=Reconciler(table, store, images, pictures),
        results_queue=Queue(clients.sqs, settings.results_queue_url),
        metrics=Metrics(clients.cloudwatch),
    )
