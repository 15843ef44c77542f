"""Reads a real gateway with the client that openapi-python-client has generated from its document."""

import datetime
import json
import sys
import urllib.request

from gapura_client import AuthenticatedClient, Client
from gapura_client.api.attendance import list_attendance
from gapura_client.api.directory import list_people, put_person, read_person
from gapura_client.api.doors import submit_assist
from gapura_client.api.events import list_events
from gapura_client.api.health import read_status
from gapura_client.api.presence import list_people_inside, read_presence
from gapura_client.models import (
    Assist,
    AssistAction,
    AttendanceTable,
    EventPage,
    PeopleInside,
    PeoplePage,
    PersonClass,
    PersonRecord,
    ProblemDetails,
    SiteStatus,
    ZonePresence,
)
from gapura_client.models.list_events_format import ListEventsFormat
from gapura_client.models.list_people_format import ListPeopleFormat

EVENTS = 7


def problem(answer, status, name):
    """Checks that an answer is this problem."""
    assert answer.status_code == status, (answer.status_code, answer.content)
    assert isinstance(answer.parsed, ProblemDetails), answer
    assert answer.parsed.type_ == f"urn:gapura:problem:{name}", answer.parsed
    return answer.parsed


def main(url, token):
    anonymous = Client(base_url=url)
    client = AuthenticatedClient(base_url=url, token=token)

    status = read_status.sync(client=anonymous)
    assert isinstance(status, SiteStatus), status
    assert [door.door for door in status.doors] == ["main-in", "main-out"], status.doors
    assert isinstance(status.now, datetime.datetime), status.now

    for number in range(EVENTS):
        request = Assist(
            v=1, action=AssistAction.ADMIT, helper="Contoh", reason="forgot the badge", person="P-0001", id=f"a-{number}"
        )
        outcome = submit_assist.sync_detailed("main-in", client=client, body=request)
        assert outcome.status_code == 200 and outcome.parsed.event == number + 1, outcome
    wrong = submit_assist.sync_detailed("nowhere", client=client, body=request)
    assert problem(wrong, 404, "unknown-door").known == ["main-in", "main-out"]

    numbers, after, pages = [], 0, 0
    while True:
        page = list_events.sync(client=client, door="main-in", after=after, limit=3, format_=ListEventsFormat.JSON)
        assert isinstance(page, EventPage), page
        numbers += [event.number for event in page.events]
        after, pages = page.last_event, pages + 1
        if not page.more:
            break
    assert numbers == list(range(1, EVENTS + 1)) and pages == 3, (numbers, pages)
    problem(list_events.sync_detailed(client=client, door="nowhere"), 404, "unknown-door")
    problem(list_events.sync_detailed(client=client, zone="nowhere"), 404, "unknown-zone")
    problem(list_events.sync_detailed(client=client, after=1_000_000), 409, "beyond-the-end")
    backwards = list_events.sync_detailed(
        client=client,
        from_=datetime.datetime(2026, 2, 1, tzinfo=datetime.UTC),
        to=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    )
    problem(backwards, 409, "out-of-order")
    problem(list_events.sync_detailed(client=anonymous), 401, "token-needed")

    presence = read_presence.sync(client=client)
    assert isinstance(presence, ZonePresence), presence
    assert [(zone.zone, zone.people) for zone in presence.zones] == [("main", 1)], presence.zones
    inside = list_people_inside.sync(client=client, zone="main", purpose="a drill")
    assert isinstance(inside, PeopleInside) and inside.people[0].name == "Contoh Satu", inside
    table = list_attendance.sync(client=client, person="P-0001", purpose="her own request")
    assert isinstance(table, AttendanceTable) and len(table.rows) == 1, table
    assert table.rows[0].first_in is not None and table.rows[0].person == "P-0001", table

    people = list_people.sync(client=client, format_=ListPeopleFormat.JSON)
    assert isinstance(people, PeoplePage) and [one.id for one in people.people] == ["P-0001", "P-0002"], people
    problem(read_person.sync_detailed("P-9999", client=client), 404, "unknown-person")
    put = put_person.sync_detailed("P-0003", client=client, body=PersonRecord(class_=PersonClass.ASN, name="Contoh Tiga"))
    assert put.status_code == 201 and put.parsed.id == "P-0003", put

    # What the client does not read, read without it: paths that are no UTF-8 are refused as everything is.
    request = urllib.request.Request(f"{url}/api/v1/people/%FF", headers={"Authorization": f"Bearer {token}"})
    try:
        urllib.request.urlopen(request)
    except urllib.error.HTTPError as refusal:
        assert refusal.headers["content-type"] == "application/problem+json", refusal.headers
        assert json.load(refusal)["type"] == "urn:gapura:problem:bad-path"
    else:
        raise AssertionError("a path that is no UTF-8 was taken")
    print(f"read {len(numbers)} events in {pages} pages, {len(status.doors)} doors, {len(people.people)} people")


if __name__ == "__main__":
    main(*sys.argv[1:])
