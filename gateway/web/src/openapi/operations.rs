//! What is said of each operation: what it is for, its parameters, its answer.

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// What its body is, where it has one.
    pub(super) body: Option<&'static str>,
    /// The status of a good answer, what it is, and its types.
    pub(super) answer: (&'static str, &'static str, &'static [&'static str]),
    /// How it may be refused, beside how all are.
    pub(super) refusals: &'static [(&'static str, &'static str)],
}

/// A parameter of the query.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) schema: Schema,
    pub(super) required: bool,
}

/// What a parameter may be.
#[derive(Clone, Copy)]
pub(super) enum Schema {
    Text,
    Day,
    Moment,
    /// From the first to the second.
    Whole(u64, u64),
    OneOf(&'static [&'static str]),
    Switch,
}

const JSON: &[&str] = &["application/json"];
const LINES: &[&str] = &["application/x-ndjson"];
const NO_PERSON: (&str, &str) = ("404", "Nobody of this id is known");

const PURPOSE: Parameter = may("purpose", "Why you look, 1 to 200 characters; recorded", Schema::Text);
const PURPOSE_NEEDED: Parameter = Parameter { required: true, ..PURPOSE };
const PERSON: Parameter = may("person", "A person's id, or ~ and the hash of an unknown credential", Schema::Text);
const FROM_DAY: Parameter = may("from", "The first day in the site's time zone; today if absent", Schema::Day);
const TO_DAY: Parameter = may("to", "The last day, at most 92 days in all; `from` if absent", Schema::Day);
const FROM: Parameter = may("from", "Not before this moment", Schema::Moment);
const TO: Parameter = may("to", "Before this moment", Schema::Moment);
const LIMIT: Parameter = may("limit", "Most rows of the answer; 1000 if absent", Schema::Whole(1, 10_000));
const AFTER: Parameter =
    may("after", "Behind this number: where the page before has ended; 0 if absent", Schema::Whole(0, u64::MAX));

/// Every operation.
pub(super) const OPERATIONS: [Operation; 28] = [
    get("/", "The status page", &[], &["text/html"]),
    get("/page.css", "Its style", &[], &["text/css"]),
    get("/page.js", "Its script", &[], &["text/javascript"]),
    get("/icon.svg", "Its icon", &[], &["image/svg+xml"]),
    get("/livez", "Whether the process runs", &[], &["text/plain"]),
    get(
        "/readyz",
        "Whether the gateway does its work: 503 with the reasons where it does not",
        &[may("verbose", "Warnings too", Schema::Switch)],
        &["text/plain", "application/json"],
    ),
    get("/metrics", "Every metric, in OpenMetrics", &[], &["application/openmetrics-text"]),
    get("/api/openapi.json", "This document", &[], JSON),
    get("/api/v1/status", "The whole gateway at this moment", &[], JSON),
    get(
        "/api/v1/events",
        "Events that fit, a page at a time: `gapura-last-event` is where the next one goes on, `gapura-more` whether there \
         may be one. A page may be empty and have more behind it. `purpose` is needed with `person`",
        &[
            PERSON,
            may("door", "At this door", Schema::Text),
            may("zone", "At doors into this zone", Schema::Text),
            FROM,
            TO,
            may(
                "outcome",
                "What the door was answered",
                Schema::OneOf(&["granted", "denied", "assist", "recorded", "unavailable"]),
            ),
            may("reason", "Why, as a stable word", Schema::Text),
            AFTER,
            LIMIT,
            PURPOSE,
        ],
        LINES,
    ),
    Operation {
        body: Some("What the helper says"),
        refusals: &[("404", "No such door"), ("429", "Too many words of this helper")],
        ..operation("POST", "/api/v1/doors/{door}/assist", "A helper's word: somebody is let through, or not")
    },
    get(
        "/api/v1/people",
        "The directory's people by id; `gapura-last-person` is where the next page goes on",
        &[may("after", "Behind this id", Schema::Text), LIMIT],
        LINES,
    ),
    Operation { refusals: &[NO_PERSON], ..get("/api/v1/people/{id}", "A person in the directory", &[], JSON) },
    Operation {
        body: Some("The person, in the fields that GET shows"),
        refusals: &[("409", "A credential is somebody else's")],
        ..operation("PUT", "/api/v1/people/{id}", "Puts a person into the directory, or changes one; 201 for a new one")
    },
    Operation {
        answer: NOTHING,
        refusals: &[NO_PERSON],
        ..operation("DELETE", "/api/v1/people/{id}", "Takes a person out of the directory; the log still tells of them")
    },
    get("/api/v1/policy", "The policy set in force, and its candidate", &[], JSON),
    get(
        "/api/v1/policy/shadow",
        "What the candidate would have changed",
        &[may("since", "Since this moment; seven days if absent", Schema::Moment)],
        JSON,
    ),
    get("/api/v1/presence", "How full each zone is", &[], JSON),
    get(
        "/api/v1/presence/people",
        "Everybody who may be inside; in HTML, the list for an evacuation, to print",
        &[
            may("zone", "In this zone and the zones in it", Schema::Text),
            may("format", "json if absent", Schema::OneOf(&["json", "csv", "html"])),
            PURPOSE,
        ],
        &["application/json", "text/csv", "text/html"],
    ),
    Operation {
        refusals: &[NO_PERSON],
        ..get(
            "/api/v1/attendance",
            "Who came to work when, by day and person",
            &[
                FROM_DAY,
                TO_DAY,
                PERSON,
                may("opd", "Those of this OPD", Schema::Text),
                may("format", "json if absent", Schema::OneOf(&["json", "ndjson", "csv"])),
                PURPOSE,
            ],
            &["application/json", "application/x-ndjson", "text/csv"],
        )
    },
    get("/api/v1/attendance/summary", "The same added up by day and OPD, without names", &[FROM_DAY, TO_DAY], JSON),
    Operation {
        refusals: &[NO_PERSON],
        ..get(
            "/api/v1/contacts",
            "Who shared a zone with a person, when, and how many minutes at least and at most",
            &[
                Parameter { required: true, ..PERSON },
                Parameter { required: true, ..FROM },
                Parameter { required: true, ..TO },
                may(
                    "minutes",
                    "How many minutes within 24 hours make a contact; as configured if absent",
                    Schema::Whole(1, 1_440),
                ),
                may("scope", "Which zones count; innermost if absent", Schema::OneOf(&["innermost", "around"])),
                may("generations", "How far to go; 1 if absent", Schema::OneOf(&["1", "2"])),
                may("format", "json if absent", Schema::OneOf(&["json", "csv", "svg"])),
                PURPOSE_NEEDED,
            ],
            &["application/json", "text/csv", "image/svg+xml"],
        )
    },
    get(
        "/api/v1/privacy/looks",
        "Who has asked for whose data, when and why; `gapura-last-look` is where the next page goes on, `gapura-more` whether \
         there may be one. Status 100 is a change that was about to be made; `erased`: whose and why cannot be told any \
         more; `broken`: the record was changed by somebody",
        &[may("token", "By the token of this name", Schema::Text), PERSON, FROM, TO, AFTER, LIMIT, PURPOSE],
        LINES,
    ),
    Operation {
        refusals: &[NO_PERSON],
        ..get("/api/v1/privacy/people/{id}", "Everything that is kept about a person", &[PURPOSE_NEEDED], JSON)
    },
    Operation {
        parameters: &[PURPOSE_NEEDED, may("force", "Also while the person is inside", Schema::Switch)],
        refusals: &[NO_PERSON, ("409", "The person is inside")],
        ..operation(
            "DELETE",
            "/api/v1/privacy/people/{id}",
            "Erases a person: destroys the keys of everything that tells of them",
        )
    },
    Operation {
        body: Some("`reason`: why, 1 to 200 characters"),
        refusals: &[NO_PERSON],
        ..operation("PUT", "/api/v1/privacy/people/{id}/restriction", "Restricts what is done with a person's data")
    },
    Operation {
        answer: NOTHING,
        refusals: &[NO_PERSON],
        ..operation("DELETE", "/api/v1/privacy/people/{id}/restriction", "Lifts the restriction")
    },
    get("/api/v1/privacy/retention", "For how long what is kept, and what was last taken away", &[], JSON),
];

const NOTHING: (&str, &str, &[&str]) = ("204", "Done", &[]);

const fn operation(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation { method, path, summary, parameters: &[], body: None, answer: ("200", "Done", JSON), refusals: &[] }
}

const fn get(
    path: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    types: &'static [&'static str],
) -> Operation {
    let answer = ("200", "What was asked for", types);
    Operation { parameters, answer, ..operation("GET", path, summary) }
}

const fn may(name: &'static str, description: &'static str, schema: Schema) -> Parameter {
    Parameter { name, description, schema, required: false }
}
