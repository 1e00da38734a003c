"""Wires the studio: the only place that constructs its parts from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.accounts.accounts import Accounts
from services.accounts.kept_data import KeptAccount
from services.accounts.leavers import Leavers
from services.accounts.pool_state import PoolState
from services.accounts.preferences import PreferenceBook
from services.accounts.sign_in_backoff import SignInBackoff
from services.aws.endpoints import Endpoints
from services.aws.objects import Objects
from services.aws.queues import Queue
from services.aws.session import Clients, make_clients
from services.aws.table import Table
from services.aws.telemetry import Metrics
from services.aws.user_pool import UserPool
from services.backends.base import Backend
from services.backends.by_model import Backends
from services.backends.cold_starts import ColdStartCounter
from services.backends.endpoint_status import EndpointStatus
from services.backends.sagemaker_async import SageMakerAsync
from services.backends.wake_times import WakeTimes
from services.billing.costs import Costs
from services.billing.estimates import Estimator
from services.billing.kept_data import KeptUsage
from services.billing.ledger import Ledger
from services.billing.studio_budget import StudioBudget
from services.catalogue.cards import Catalogue
from services.exports.build_zip import ExportBuilder
from services.exports.kept_data import KeptExports
from services.exports.orders import Exports
from services.images.albums import Albums
from services.images.attachments import Attachments
from services.images.images import Images
from services.images.kept_data import KeptAlbums, KeptAttachments, KeptImages
from services.images.marks import ImageMarks
from services.images.reconcile import Reconciler
from services.images.shares import Shares
from services.images.trash import Trash
from services.jobs.admission import Admission
from services.jobs.completion import Completion
from services.jobs.dispatch import Dispatcher
from services.jobs.drafts import Drafts
from services.jobs.inputs import Inputs
from services.jobs.jobs import Jobs
from services.jobs.kept_data import KeptJobs
from services.jobs.live import LiveJobs
from services.jobs.multi_submit import MultiSubmit
from services.jobs.repeats import Repeats
from services.jobs.reproductions import Reproductions
from services.jobs.scheduling import Scheduler
from services.jobs.sources import Sources
from services.jobs.sweep import Sweeper
from services.moderation.rules import Moderation
from services.privacy.erasure import Erasure
from services.privacy.personal_data import PersonalData
from services.prompts.book import PromptBook
from services.prompts.kept_data import KeptPrompts
from services.search.index import SearchIndex
from services.search.kept_data import KeptSearchIndex
from services.search.search import Search
from services.settings import AuthMode, Settings
from services.store.albums import AlbumStore
from services.store.api_keys import ApiKeyStore
from services.store.attachments import AttachmentStore
from services.store.change_notes import ChangeNoteStore
from services.store.endpoint_records import EndpointRecords
from services.store.exports import ExportStore
from services.store.finished_jobs import FinishedJobs
from services.store.images import ImageStore
from services.store.jobs import JobStore
from services.store.kept_data import KeptData
from services.store.logins import LoginStore
from services.store.person_records import PersonRecords
from services.store.preferences import PreferenceStore
from services.store.profiles import ProfileStore
from services.store.prompt_texts import PromptTextStore
from services.store.queues import QueueStore
from services.store.reruns import RerunStore
from services.store.search_heads import SearchHeadStore
from services.store.shares import ShareStore
from services.store.sign_in_attempts import SignInAttemptStore
from services.store.spend import SpendStore
from services.store.tombstones import Tombstones
from services.store.transactions import Transactions
from services.store.trash import TrashStore
from services.store.usage_days import UsageDays
from services.store.user_counters import UserCounters

if TYPE_CHECKING:
    from services.accounts.local_users import LocalUsers


@dataclass(frozen=True)
class Studio:
    """Everything that a page, a route, or a process of the studio uses. `local_users` is None with Cognito."""

    settings: Settings
    catalogue: Catalogue
    jobs: Jobs
    multi_submit: MultiSubmit
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
    reproductions: Reproductions
    ledger: Ledger
    costs: Costs
    cold_starts: ColdStartCounter
    accounts: Accounts
    leavers: Leavers
    local_users: LocalUsers | None
    sign_in_backoff: SignInBackoff
    live: LiveJobs
    backends: Backends
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


def build(
    settings: Settings, clients: Clients | None = None, *, elsewhere: Mapping[str, Backend] | None = None
) -> Studio:
    """Wires a studio without connecting to anything.

    SageMaker draws the models of `settings.endpoints`. `elsewhere` maps other model ids to their back ends and takes
    precedence. Raises ValueError if an offered model has no card.
    """
    clients = clients or make_clients(settings)
    table = Table(clients.dynamodb, settings.table)
    input_objects = Objects(clients.s3, settings.inputs_bucket)
    outputs = Objects(clients.s3, settings.outputs_bucket)
    pictures = Objects(clients.s3, settings.images_bucket)
    library = Objects(clients.s3, settings.library_bucket)
    sagemaker = SageMakerAsync(
        Endpoints(clients.sagemaker_runtime, clients.sagemaker), input_objects, outputs, settings
    )
    on_sagemaker: dict[str, Backend] = dict.fromkeys(settings.endpoints, sagemaker)
    backends = Backends({**on_sagemaker, **(elsewhere or {})}, former=sagemaker)
    catalogue = Catalogue.load(frozenset(backends.models))
    status = EndpointStatus(backends)
    store = JobStore(table)
    transactions, person_records = Transactions(table), PersonRecords(table)
    image_store, share_store, export_store = ImageStore(table), ShareStore(table), ExportStore(table)
    finished_jobs, tombstones = FinishedJobs(table), Tombstones(table)
    profiles = ProfileStore(table)
    attachments = Attachments(AttachmentStore(table), share_store, pictures)
    images = Images(image_store, transactions, pictures, attachments)
    sources = Sources(input_objects, pictures, images, store)
    inputs = Inputs(input_objects, sources)
    ledger = Ledger(UserCounters(table), StudioBudget(SpendStore(table)), settings)
    usage_days, endpoint_records = UsageDays(table), EndpointRecords(table)
    estimator = Estimator(usage_days, catalogue, store, backends)
    wake_times = WakeTimes(endpoint_records, backends)
    completion = Completion(store, ledger, images, backends, estimator, wake_times)
    scheduler = Scheduler(store, QueueStore(table), backends, status, settings)
    dispatcher = Dispatcher(store, backends, inputs, settings)
    sweeper = Sweeper(store, scheduler, dispatcher, completion, backends)
    admission = Admission(catalogue, Moderation.load(), estimator, status, inputs)
    exports = Exports(export_store, library)
    search_index = SearchIndex(
        SearchHeadStore(table), ChangeNoteStore(table), image_store, library, exports.drop_holding
    )
    with_cognito = settings.auth_mode is AuthMode.COGNITO
    pool = UserPool(clients.cognito, settings.cognito_pool_id) if with_cognito else None
    accounts = Accounts(profiles, ApiKeyStore(table), PoolState(pool) if pool else None)
    albums = Albums(AlbumStore(table), image_store, transactions)
    prompts = PromptBook(PromptTextStore(table), store)
    preferences = PreferenceBook(PreferenceStore(table), catalogue)
    search = Search(image_store, search_index)
    shares = Shares(share_store, images, pictures, attachments)
    # In order of erasure; each one's docstring names its prerequisites.
    kept: tuple[KeptData, ...] = (
        KeptAccount(accounts, preferences),
        KeptUsage(ledger),
        KeptImages(images, person_records),
        KeptPrompts(prompts, person_records),
        KeptAlbums(albums, person_records, search.ids_of_album),
        KeptAttachments(attachments, shares),
        KeptExports(exports),
        KeptSearchIndex(search_index),
        KeptJobs(
            store,
            finished_jobs,
            tombstones,
            person_records,
            (input_objects, outputs),
            longest_run_s=settings.job_ttl_s + settings.job_timeout_s,
        ),
    )
    jobs = Jobs(store, admission, ledger, sweeper, completion, Erasure(kept, person_records), images)
    multi_submit = MultiSubmit(jobs, admission, ledger)
    repeats = Repeats(catalogue)
    return Studio(
        settings=settings,
        catalogue=catalogue,
        jobs=jobs,
        multi_submit=multi_submit,
        drafts=Drafts(store, images, admission, inputs, multi_submit),
        prompts=prompts,
        preferences=preferences,
        sources=sources,
        images=images,
        marks=ImageMarks(image_store, transactions),
        albums=albums,
        trash=Trash(TrashStore(table), image_store, transactions, images),
        search=search,
        search_index=search_index,
        exports=exports,
        personal_data=PersonalData(exports, search, kept),
        export_builder=ExportBuilder(export_store, image_store, exports, library, pictures),
        repeats=repeats,
        reproductions=Reproductions(RerunStore(table), jobs, images, repeats, pictures),
        shares=shares,
        ledger=ledger,
        costs=Costs(usage_days),
        cold_starts=ColdStartCounter(endpoint_records, status),
        accounts=accounts,
        leavers=Leavers(accounts, LoginStore(table), pool),
        local_users=_local_users(settings, table, profiles, accounts),
        sign_in_backoff=SignInBackoff(SignInAttemptStore(table)),
        live=LiveJobs(store, scheduler, backends, completion),
        backends=backends,
        endpoints=status,
        completion=completion,
        sweeper=sweeper,
        reconciler=Reconciler(tombstones, store, finished_jobs, images, pictures),
        results_queue=Queue(clients.sqs, settings.results_queue_url),
        metrics=Metrics(clients.cloudwatch),
    )


def _local_users(
    settings: Settings, table: Table, profiles: ProfileStore, accounts: Accounts
) -> LocalUsers | None:
    if settings.auth_mode is not AuthMode.LOCAL:
        return None
    # An installation with Cognito loads neither this nor bcrypt.
    from services.accounts.local_users import LocalUsers

    return LocalUsers(LoginStore(table), profiles, accounts)
