"""Tell people what a patch run came to, through Apprise: mail, Slack, a webhook, and more."""

from __future__ import annotations

from collections.abc import Sequence

from ovenbird.patch import Came, outcome_of
from ovenbird.values.errors import ConfigurationError, Inconclusive


def message(came: Sequence[Came], *, site: str) -> tuple[str, str]:
    """Write the title and the text: what was done, then what is left to a person."""
    outcome = outcome_of(came)
    did = sum(len(each.did) for each in came)
    title = f"Ovenbird ({site}): patch run {outcome}, {did} step{'s' * (did != 1)} taken"
    lines = [f"{each.family}: {each}" for each in came]
    lines += [f"  {each.remedy}" for each in came if each.remedy]
    return title, "\n".join(lines)


def worth_telling(came: Sequence[Came]) -> bool:
    """A night in which nothing was done and nothing is wrong tells nobody."""
    return outcome_of(came) != "done" or any(each.did for each in came)


def send(urls: Sequence[str], title: str, text: str) -> None:
    """Send one message to all. Raises `Inconclusive` where one of them did not take it, without
    its URL, which holds a secret."""
    try:
        import apprise
    except ImportError as missing:
        raise ConfigurationError.of(
            "notify: is set, and Apprise is not installed.",
            remedy="Install it: pip install 'ovenbird[notify]'",
            file="inventories/patch.yml",
        ) from missing
    out = apprise.Apprise()
    bad = [number for number, url in enumerate(urls, start=1) if not out.add(url)]
    if bad:
        raise ConfigurationError.of(
            f"notify: number {bad[0]} is no URL that Apprise knows.",
            remedy="See what it takes: https://github.com/caronc/apprise",
            file="inventories/patch.yml",
        )
    if urls and not out.notify(title=title, body=text):
        raise Inconclusive(
            "Not everybody could be told what this run came to.",
            remedy="What was done stands. See that the URLs under notify: still answer.",
        )
