//! What is said of each operation: what it is for, its parameters, its body, its answers.
//!
//! Longer than 400 lines: one table, with a row for each operation.
//!
//! Longer than 400 lines: one table with an entry for each operation.

use protocol::api;

use super::schema::{Kind, Parameters, Schemas, no_parameters, of, parameters};

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// What generated clients call it.
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) parameters: Parameters,
    /// What its body is, where it has one.
    pub(super) body: Option<(&'static str, Schemas)>,
    /// The good answers.
    pub(super) answers: &'static [Answer],
    /// How it may be refused, beside how all are.
    pub(super) refusals: &'static [(u16, &'static str)],
}

/// A good answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    /// Its types; none where it has no body.
    pub(super) content: &'static [(&'static str, Kind)],
    pub(super) headers: &'static [Header],
}

/// A header of an answer.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) schema: Schemas,
}

/// Every tag, with what it stands for.
pub(super) const TAGS: [(&str, &str); 9] = [
    (HEALTH, "How the gateway is, for people and monitoring"),
    (PAGE, "The status page"),
    (EVENTS, "What the log holds"),
    (DOORS, "What is done at a door"),
    (DIRECTORY, "The people who are known"),
    (POLICY, "What decides"),
    (PRESENCE, "Who is where"),
    (ATTENDANCE, "Who came to work when"),
    (PRIVACY, "Contacts, a person's rights, and the audit trail"),
];

const HEALTH: &str = "health";
const PAGE: &str = "page";
const EVENTS: &str = "events";
const DOORS: &str = "doors";
const DIRECTORY: &str = "directory";
const POLICY: &str = "policy";
const PRESENCE: &str = "presence";
const ATTENDANCE: &str = "attendance";
const PRIVACY: &str = "privacy";

const CSV: (&str, Kind) = ("text/csv", Kind::Text);
const NO_PERSON: (u16, &str) = (404, "Nobody of this id is known");
const NO_DOOR_OR_ZONE: (u16, &str) = (404, "No such door, or zone: which, and which there are");
const PAGE_CONFLICT: (u16, &str) = (409, "`to` does not come after `from`, or `after` is beyond the end");
const DAYS_CONFLICT: (u16, &str) =
    (409, "`to` is before `from`, there are more than 92 days between them, or `from` is before what is kept");

const THROUGH: Header =
    Header { name: api::THROUGH, description: "Number of the last event that the answer reflects", schema: of::<u64> };
const BEHIND: Header = Header {
    name: api::BEHIND,
    description: "How many events of the log the answer does not reflect yet",
    schema: of::<u64>,
};
const MORE: Header = Header { name: api::MORE, description: "Whether there may be another page", schema: of::<bool> };
const OF_LEDGERS: &[Header] = &[THROUGH, BEHIND];

const fn last(name: &'static str, description: &'static str) -> Header {
    Header { name, description, schema: of::<u64> }
}

/// Every operation.
pub(super) const OPERATIONS: [Operation; 29] = [
    get("/", "showPage", PAGE, "The status page", &[good(&[("text/html", Kind::Text)])]),
    get("/page.css", "showPageStyle", PAGE, "Its style", &[good(&[("text/css", Kind::Text)])]),
    get("/page.js", "showPageScript", PAGE, "Its script", &[good(&[("text/javascript", Kind::Text)])]),
    get("/icon.svg", "showPageIcon", PAGE, "Its icon", &[good(&[("image/svg+xml", Kind::Text)])]),
    get("/livez", "checkLiveness", HEALTH, "Whether the process runs", &[good(&[("text/plain", Kind::Text)])]),
    Operation {
        description: "503 with the reasons where it does not. JSON with `Accept: application/json`, else a line for each \
                      problem.",
        parameters: parameters::<api::ReadinessQuery>,
        ..get("/readyz", "checkReadiness", HEALTH, "Whether the gateway does its work", &[good(READINESS)])
    },
    get(
        "/metrics",
        "readMetrics",
        HEALTH,
        "Every metric, in OpenMetrics",
        &[good(&[("application/openmetrics-text", Kind::Text)])],
    ),
    get(
        "/api/openapi.json",
        "readApiDescription",
        HEALTH,
        "This document",
        &[good(&[("application/json", Kind::AnyObject)])],
    ),
    get(
        "/api/v1/status",
        "readStatus",
        HEALTH,
        "The whole gateway at this moment",
        &[good(&[("application/json", Kind::Json(of::<api::SiteStatus>))])],
    ),
    Operation {
        description: "A page at a time: where the page has ended, and whether there may be another, stands in the headers, and \
                      with `format=json` in the body too. A page may be empty and have more behind it.",
        parameters: parameters::<api::EventsQuery>,
        refusals: &[NO_DOOR_OR_ZONE, PAGE_CONFLICT],
        ..get(
            "/api/v1/events",
            "listEvents",
            EVENTS,
            "Events that fit",
            &[Answer {
                headers: &[
                    last(api::LAST_EVENT, "Number of the last event that was looked at: `after` of the next page"),
                    MORE,
                ],
                ..good(&[
                    ("application/x-ndjson", Kind::Lines(of::<protocol::Event>)),
                    ("application/json", Kind::Json(of::<api::EventPage>)),
                ])
            }],
        )
    },
    Operation {
        body: Some(("What the helper does, and why", of::<protocol::Assist>)),
        refusals: &[
            (404, "No such door"),
            (409, "`epoch` without `seq`, or the other way round"),
            (429, "Too many requests of this helper"),
        ],
        ..operation(
            "POST",
            "/api/v1/doors/{door}/assist",
            "submitAssist",
            DOORS,
            "Lets a person through by hand, or not, on the record",
            &[good(&[("application/json", Kind::Json(of::<api::AssistOutcome>))])],
        )
    },
    Operation {
        description: "They count as missing no more, after a restart either. A scan that comes after all is kept as ever.",
        refusals: &[(404, "No such door")],
        ..operation(
            "POST",
            "/api/v1/doors/{door}/acknowledge",
            "acknowledgeMissingScans",
            DOORS,
            "Takes note that somebody knows of the scans that a door is missing",
            &[good(&[("application/json", Kind::Json(of::<api::Acknowledgement>))])],
        )
    },
    Operation {
        parameters: parameters::<api::PeopleQuery>,
        ..get(
            "/api/v1/people",
            "listPeople",
            DIRECTORY,
            "The directory's people by id, a page at a time",
            &[Answer {
                headers: &[Header {
                    name: api::LAST_PERSON,
                    description: "Id of the last of them, empty where there is none: `after` of the next page",
                    schema: of::<String>,
                }],
                ..good(&[
                    ("application/x-ndjson", Kind::Lines(of::<api::PersonRecord>)),
                    ("application/json", Kind::Json(of::<api::PeoplePage>)),
                ])
            }],
        )
    },
    Operation {
        refusals: &[(404, "No such person in the directory")],
        ..get("/api/v1/people/{id}", "readPerson", DIRECTORY, "A person in the directory", &[good(PERSON)])
    },
    Operation {
        description: "In force when it is answered.",
        body: Some(("The person", of::<api::PersonRecord>)),
        refusals: &[(409, "A credential is somebody else's, or something ends before it begins")],
        ..operation(
            "PUT",
            "/api/v1/people/{id}",
            "putPerson",
            DIRECTORY,
            "Puts a person into the directory, or changes one",
            &[
                Answer { description: "Was there already; as kept", ..good(PERSON) },
                Answer { status: 201, description: "Is new; as kept", ..good(PERSON) },
            ],
        )
    },
    Operation {
        description: "The log still tells of them.",
        refusals: &[(404, "No such person in the directory")],
        ..operation(
            "DELETE",
            "/api/v1/people/{id}",
            "removePerson",
            DIRECTORY,
            "Takes a person out of the directory",
            NOTHING,
        )
    },
    get(
        "/api/v1/policy",
        "readPolicy",
        POLICY,
        "The policy set in force, and its candidate",
        &[good(&[("application/json", Kind::Json(of::<api::PolicyStatus>))])],
    ),
    Operation {
        parameters: parameters::<api::ShadowQuery>,
        ..get(
            "/api/v1/policy/shadow",
            "compareCandidate",
            POLICY,
            "What the candidate would have changed",
            &[good(&[("application/json", Kind::Json(of::<api::ShadowReport>))])],
        )
    },
    get(
        "/api/v1/presence",
        "readPresence",
        PRESENCE,
        "How full each zone is",
        &[of_ledgers(&[("application/json", Kind::Json(of::<api::ZonePresence>))])],
    ),
    Operation {
        description: "In HTML, the list for an evacuation, to print.",
        parameters: parameters::<api::PeopleInsideQuery>,
        refusals: &[(404, "No such zone: which, and which there are")],
        ..get(
            "/api/v1/presence/people",
            "listPeopleInside",
            PRESENCE,
            "Everybody who may be inside",
            &[of_ledgers(&[("application/json", Kind::Json(of::<api::PeopleInside>)), CSV, ("text/html", Kind::Text)])],
        )
    },
    Operation {
        parameters: parameters::<api::AttendanceQuery>,
        refusals: &[(404, "Nobody of this id, or no such OPD, is known"), DAYS_CONFLICT],
        ..get(
            "/api/v1/attendance",
            "listAttendance",
            ATTENDANCE,
            "Who came to work when, by day and person",
            &[of_ledgers(&[
                ("application/json", Kind::Json(of::<api::AttendanceTable>)),
                ("application/x-ndjson", Kind::Lines(of::<api::AttendanceRow>)),
                CSV,
            ])],
        )
    },
    Operation {
        parameters: parameters::<api::SummaryQuery>,
        refusals: &[DAYS_CONFLICT],
        ..get(
            "/api/v1/attendance/summary",
            "summarizeAttendance",
            ATTENDANCE,
            "The same added up by day and OPD, without names",
            &[of_ledgers(&[("application/json", Kind::Json(of::<api::AttendanceSummary>))])],
        )
    },
    Operation {
        parameters: parameters::<api::ContactsQuery>,
        refusals: &[
            NO_PERSON,
            (
                409,
                "`to` does not come after `from`, `from` is before what is kept, the person's data are restricted, or there \
                 are too many contacts to follow",
            ),
        ],
        ..get(
            "/api/v1/contacts",
            "traceContacts",
            PRIVACY,
            "Who shared a zone with a person, when, and how many minutes at least and at most",
            &[of_ledgers(&[("application/json", Kind::Json(of::<api::Contacts>)), CSV, ("image/svg+xml", Kind::Text)])],
        )
    },
    Operation {
        description: "A page at a time, as with events. Status 100 is a change that was about to be made; `erased`: whose and why \
                      cannot be told any more; `broken`: the trail was changed by somebody.",
        parameters: parameters::<api::AuditQuery>,
        refusals: &[PAGE_CONFLICT],
        ..get(
            "/api/v1/privacy/audit",
            "listAuditRecords",
            PRIVACY,
            "Who has asked for whose data, when and why",
            &[Answer {
                headers: &[
                    last(api::LAST_RECORD, "Number of the last record that was looked at: `after` of the next page"),
                    MORE,
                ],
                ..good(&[
                    ("application/x-ndjson", Kind::Lines(of::<api::AuditRecord>)),
                    ("application/json", Kind::Json(of::<api::AuditPage>)),
                ])
            }],
        )
    },
    Operation {
        parameters: parameters::<api::ExportQuery>,
        refusals: &[NO_PERSON],
        ..get(
            "/api/v1/privacy/people/{id}",
            "exportPerson",
            PRIVACY,
            "Everything that is kept about a person",
            &[of_ledgers(&[("application/json", Kind::Json(of::<api::PersonExport>))])],
        )
    },
    Operation {
        description: "Destroys the keys of everything that tells of them.",
        parameters: parameters::<api::EraseQuery>,
        refusals: &[NO_PERSON, (409, "The person is inside")],
        ..operation(
            "DELETE",
            "/api/v1/privacy/people/{id}",
            "erasePerson",
            PRIVACY,
            "Erases a person",
            &[good(&[("application/json", Kind::Json(of::<api::ErasedPerson>))])],
        )
    },
    Operation {
        body: Some(("Why", of::<api::RestrictionRequest>)),
        refusals: &[NO_PERSON],
        ..operation(
            "PUT",
            "/api/v1/privacy/people/{id}/restriction",
            "restrictPerson",
            PRIVACY,
            "Restricts what is done with a person's data",
            &[good(&[("application/json", Kind::Json(of::<api::Restriction>))])],
        )
    },
    Operation {
        refusals: &[NO_PERSON],
        ..operation(
            "DELETE",
            "/api/v1/privacy/people/{id}/restriction",
            "liftRestriction",
            PRIVACY,
            "Lifts the restriction",
            NOTHING,
        )
    },
    get(
        "/api/v1/privacy/retention",
        "readRetention",
        PRIVACY,
        "For how long what is kept, and what was last taken away",
        &[good(&[("application/json", Kind::Json(of::<api::Retention>))])],
    ),
];

const PERSON: &[(&str, Kind)] = &[("application/json", Kind::Json(of::<api::PersonRecord>))];

/// Also where it is refused because the gateway is not ready.
pub(super) const READINESS: &[(&str, Kind)] =
    &[("text/plain", Kind::Text), ("application/json", Kind::Json(of::<api::Readiness>))];

const NOTHING: &[Answer] = &[Answer { status: 204, description: "Done", content: &[], headers: &[] }];

const fn operation(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    answers: &'static [Answer],
) -> Operation {
    let parameters: Parameters = no_parameters;
    Operation { method, path, id, tag, summary, description: "", parameters, body: None, answers, refusals: &[] }
}

const fn get(
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    answers: &'static [Answer],
) -> Operation {
    operation("GET", path, id, tag, summary, answers)
}

const fn good(content: &'static [(&'static str, Kind)]) -> Answer {
    Answer { status: 200, description: "What was asked for", content, headers: &[] }
}

const fn of_ledgers(content: &'static [(&'static str, Kind)]) -> Answer {
    Answer { headers: OF_LEDGERS, ..good(content) }
}
