"""How often a reply in the making may be shown. Pure: times are given, in seconds."""

from __future__ import annotations

from collections import deque

# A draft in a private chat is cheap, but people do not read faster than this.
PRIVATE_SECONDS = 0.5
# Telegram takes 20 messages and edits a minute for a group: some are left for answers.
GROUP_SECONDS = 1.5
GROUP_A_MINUTE = 14


class GroupPace:
    """Allows each group so many drafts, whichever messages they answer."""

    def __init__(self) -> None:
        self._shown: dict[int, deque[float]] = {}

    def allows(self, chat_id: int, now: float) -> bool:
        """Whether a draft may be shown now, which counts as shown then."""
        shown = self._shown.setdefault(chat_id, deque())
        while shown and shown[0] <= now - 60:
            shown.popleft()
        if len(shown) >= GROUP_A_MINUTE or (shown and shown[-1] > now - GROUP_SECONDS):
            return False
        shown.append(now)
        return True
