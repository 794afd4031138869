"""Any order of agreeing, talking, taking back, forgetting, exporting and cleaning up: nothing of who is out is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine, Set
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bot.messages import ConversationKey, Feedback, Judgement
from bot.store.consents import Purpose
from bot.store.store import Exchange, Store
from model.dialogue import Source
from tests.training.sharing import CIPHER, Clock, everything, manifest
from training.export import export
from training.export_content import ExportOptions
from training.forgetting import apply_tombstones

T = TypeVar("T")

# Talk of which no rule of the export drops anything, so that what is missing is missing for want of consent.
OPTIONS = ExportOptions(near_duplicates=10_000, k=1)
# In memory where there is such a place: what a crash leaves is tested elsewhere.
PLACE = Path("/dev/shm")
USERS = st.sampled_from("123")
PLATFORMS = st.sampled_from(["telegram", "telegram", "discord"])
PURPOSES = st.sampled_from([Purpose.MEMORY, Purpose.TRAINING])
BOTH = frozenset({Purpose.MEMORY, Purpose.TRAINING})
SAID = ("오늘 하늘이 맑아요", "점심에 김밥을 먹었어요", "기타를 배워요", "책을 읽으려고요", "고양이가 자요")


def code(number: int) -> str:
    """A word that is in one line only, and that no rule takes for a number or a name."""
    return "".join("가나다라마바사아자차"[int(digit)] for digit in f"{number:04}") + "룰루"


class Sharing(RuleBasedStateMachine):
    """A bot's store with its exports, and beside it a plain account of what is whose and may be where."""

    lines_exported: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sharing-", dir=PLACE if PLACE.is_dir() else None))
        self.clock = Clock()
        self.runner = asyncio.Runner()
        self.opened = Store.open(self.folder / "db" / "malbeot.db", CIPHER, now=self.clock)
        self.store = self.runner.run(self.opened.__aenter__())
        # What each line says, by its marker: whose it is, and whether it may still be anywhere.
        self.owner: dict[str, tuple[str, str]] = {}
        self.shared: set[str] = set()
        self.agreed: dict[tuple[str, str], set[Purpose]] = {}
        self.clean = True

    def teardown(self) -> None:
        self.runner.run(self.opened.__aexit__(None, None, None))
        self.runner.close()
        shutil.rmtree(self.folder)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        self.clock.pass_(seconds=1)
        return self.runner.run(work)

    @property
    def exports(self) -> Path:
        return self.folder / "exports"

    def person(self, user: str, platform: str) -> str:
        return self.store.person(platform, user)

    @initialize()
    def all_agree(self) -> None:
        for user in "123":
            for platform in ("telegram", "discord"):
                self.agree(user, platform, BOTH)

    @rule(user=USERS, platform=PLATFORMS, purposes=st.just(BOTH) | st.sets(PURPOSES, min_size=1))
    def agree(self, user: str, platform: str, purposes: Set[Purpose]) -> None:
        for purpose in sorted(purposes):
            self.run(self.store.decide(self.person(user, platform), purpose, True, 1))
        self.agreed.setdefault((user, platform), set()).update(purposes)

    @rule(users=st.lists(USERS, min_size=1, max_size=3), opinion=st.sampled_from(Judgement))
    def talk(self, users: list[str], opinion: Judgement) -> None:
        for user in users:
            self.say(user, "telegram", user, opinion)

    @rule(users=st.lists(USERS, min_size=2, max_size=4), platform=PLATFORMS, opinion=st.sampled_from(Judgement))
    def talk_in_a_group(self, users: list[str], platform: str, opinion: Judgement) -> None:
        for user in users:
            self.say(user, platform, "-100", opinion)

    def say(self, user: str, platform: str, chat: str, opinion: Judgement) -> None:
        """Two lines, the second with an opinion of the reply."""
        agreed = self.agreed.get((user, platform), set())
        key = ConversationKey(platform, chat)
        for _ in range(2):
            mark = code(len(self.owner))
            self.owner[mark] = (user, platform)
            said = f"{SAID[len(self.owner) % len(SAID)]} {mark}"
            person = self.person(user, platform)
            exchange = Exchange(said, f"그렇군요 {mark}", "v1", Source.GENERATOR, self.clock(), person)
            recorded = self.run(self.store.add_exchange(key, exchange, keep=Purpose.MEMORY in agreed))
            if agreed == BOTH and platform != "discord":
                self.shared.add(mark)
        correction = f"좋네요 {mark}" if opinion is Judgement.CORRECTION else ""
        self.run(self.store.judge(Feedback(key, user, opinion, recorded.reply_id, correction=correction)))

    @rule(user=USERS, platform=PLATFORMS, purposes=st.sets(PURPOSES, min_size=1))
    def withdraw(self, user: str, platform: str, purposes: Set[Purpose]) -> None:
        self.run(self.store.withdraw(self.person(user, platform), sorted(purposes), 1))
        self.agreed.setdefault((user, platform), set()).difference_update(purposes)
        self.out(user, platform)

    @rule(user=USERS)
    def change_their_mind_twice(self, user: str) -> None:
        """What was said before stays in the database, and is not shared by agreeing again."""
        self.withdraw(user, "telegram", {Purpose.TRAINING})
        self.say(user, "telegram", user, Judgement.UP)
        self.agree(user, "telegram", BOTH)

    @rule(user=USERS, platform=PLATFORMS)
    def forget(self, user: str, platform: str) -> None:
        self.run(self.store.forget(self.person(user, platform), 1, ConversationKey(platform, user)))
        self.agreed[user, platform] = set()
        self.out(user, platform)

    @rule(user=USERS)
    def say_to_be_a_child(self, user: str) -> None:
        """As the bot has it: first everything is taken back."""
        self.withdraw(user, "telegram", BOTH)
        person = self.person(user, "telegram")
        self.run(self.store.decide(person, Purpose.AGE_14, False, 1))
        self.run(self.store.decide(person, Purpose.AGE_14, True, 1))

    @rule(days=st.sampled_from([1, 20]))
    def wait(self, days: int) -> None:
        self.clock.pass_(days=days)

    @rule()
    def make_export(self) -> None:
        before = self.folders()
        made = self.run(export(self.store, self.exports, self.clock, OPTIONS))
        new = self.folders() - before
        assert new == ({made} if made else set())
        for folder in new:
            about = manifest(folder)
            text = everything(folder)
            # Of who is not in it nothing is, whatever was cleaned up before.
            assert set(about["people"]) <= {
                self.person(*who) for who, agreed in self.agreed.items() if len(agreed) == 2 and who[1] != "discord"
            }
            found = {mark for mark in self.owner if mark in text}
            assert found <= self.shared
            Sharing.lines_exported += len(found)

    @rule()
    def apply(self) -> None:
        self.run(apply_tombstones(self.store, self.exports, self.folder / "models", self.clock))
        self.clean = True

    @rule()
    def start_again(self) -> None:
        """What is on the disk is what counts."""
        self.runner.run(self.opened.__aexit__(None, None, None))
        self.opened = Store.open(self.folder / "db" / "malbeot.db", CIPHER, now=self.clock)
        self.store = self.runner.run(self.opened.__aenter__())

    def folders(self) -> set[Path]:
        return {path for path in self.exports.glob("2*") if path.is_dir()}

    def out(self, user: str, platform: str) -> None:
        """Nothing that this person said so far may be anywhere, once the exports were gone through."""
        self.shared -= {mark for mark, owner in self.owner.items() if owner == (user, platform)}
        self.clean = False

    @invariant()
    def nothing_is_where_it_may_not_be(self) -> None:
        text = "\n".join(everything(folder) for folder in self.folders())
        found = {mark for mark in self.owner if mark in text}
        assert not any(self.owner[mark][1] == "discord" for mark in found)
        if self.clean:
            assert found <= self.shared


@pytest.mark.slow
def test_nothing_of_who_is_out_is_in_any_export() -> None:
    """2,000 steps; MALBEOT_MACHINE_STEPS=10000 takes more."""
    steps = 50
    examples = int(os.environ.get("MALBEOT_MACHINE_STEPS", "2000")) // steps
    Sharing.TestCase.settings = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    Sharing.lines_exported = 0
    Sharing.TestCase("runTest").debug()
    # Else all of it would hold of an export that leaves everything out.
    assert Sharing.lines_exported > steps
