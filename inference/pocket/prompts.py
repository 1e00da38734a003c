"""The fixed prompts that pocket is looked at and measured with, and what each should show."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A prompt, the thing it names (as the data set calls it), and the colours asked for, if any."""

    prompt: str
    thing: str
    colour: str | None = None
    background: str | None = None
    unseen: bool = False


QUESTIONS: tuple[Question, ...] = (
    Question("a red apple", "red apple", colour="red"),
    Question("a rocket", "rocket"),
    Question("a grinning cat", "grinning cat"),
    Question("a red apple, 3d style", "red apple", colour="red"),
    Question("rocket, flat style", "rocket"),
    Question("grinning cat, 3d style", "grinning cat"),
    Question("pizza, flat style", "pizza"),
    Question("a dog face, 3d style", "dog face"),
    Question("an octopus", "octopus"),
    Question("guitar, 3d style", "guitar"),
    Question("a sunflower", "sunflower", colour="yellow"),
    Question("a house", "house"),
    Question("soccer ball, flat style", "soccer ball"),
    Question("a birthday cake", "birthday cake"),
    Question("an automobile", "automobile"),
    Question("smiling face with sunglasses", "smiling face with sunglasses"),
    Question("a strawberry", "strawberry", colour="red"),
    Question("a deciduous tree", "deciduous tree", colour="green"),
    Question("an airplane, flat style", "airplane"),
    Question("a fox", "fox", colour="orange"),
    Question("a banana", "banana", colour="yellow"),
    Question("a red heart on a blue background", "red heart", colour="red", background="blue"),
    Question("a penguin on a yellow background", "penguin", background="yellow"),
    Question("a mushroom", "mushroom"),
    Question("a sailboat", "sailboat"),
    Question("a robot", "robot"),
    Question("a cactus", "cactus", colour="green"),
    Question("a hamburger", "hamburger"),
    Question("a blue apple", "red apple", colour="blue", unseen=True),
    Question("a green fox", "fox", colour="green", unseen=True),
    Question("a purple banana", "banana", colour="purple", unseen=True),
    Question(
        "a green rocket on a purple background", "rocket", colour="green", background="purple", unseen=True
    ),
)
SHEET_PROMPTS: tuple[str, ...] = tuple(question.prompt for question in QUESTIONS)
