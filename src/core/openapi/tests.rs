//! Documents as people write them, and documents that mean harm.

use super::*;
use crate::error::Explain;
use crate::settings::Settings;

/// A document of one GET, whose answer has this schema.
fn document(params: Value, schema: Value) -> Value {
    json!({"openapi": "3.0.3", "info": {"title": "Pet Store"}, "servers": [{"url": "https://api.example.com/v1"}],
        "paths": {"/pets": {"get": {"operationId": "listPets", "parameters": params,
            "responses": {"200": {"content": {"application/json": {"schema": schema}}}}}}},
        "components": {"schemas": {"Pet": {"type": "object", "properties": {
            "id": {"type": "integer", "format": "int64"}, "name": {"type": "string"}, "weight": {"type": "number"},
            "born": {"type": "string", "format": "date"}, "seen_at": {"type": ["string", "null"], "format": "date-time"},
            "tag": {"type": "string", "format": "uuid"}, "tame": {"type": "boolean"},
            "owner": {"$ref": "#/components/schemas/Owner"}, "names": {"type": "array", "items": {"type": "string"}}}},
            "Owner": {"type": "object", "properties": {"pet": {"$ref": "#/components/schemas/Pet"}}}}}})
}

fn planned(document: &Value) -> Vec<PlannedJob> {
    let jobs = plan(&document.to_string()).unwrap();
    for job in &jobs {
        Settings::parse(&job.settings).unwrap_or_else(|error| panic!("{error}: {}", job.settings));
    }
    jobs
}

fn only(document: &Value) -> PlannedJob {
    let mut jobs = planned(document);
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    jobs.remove(0)
}

fn settings(job: &PlannedJob) -> Value {
    serde_json::from_str(&job.settings).unwrap()
}

fn query(name: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": "integer", "maximum": 250}})
}

fn pets() -> Value {
    json!({"type": "array", "items": {"$ref": "#/components/schemas/Pet"}})
}

#[test]
fn a_list_becomes_a_job_with_columns_and_a_key() {
    let job = only(&document(json!([query("page"), query("per_page")]), pets()));
    assert_eq!(
        (job.name.as_str(), job.path.as_str(), job.mode),
        ("pets", "/pets", "replace")
    );
    assert_eq!(job.key, ["id"]);
    let settings = settings(&job);
    assert_eq!(
        settings["pagination"],
        json!({"type": "page", "param": "page", "size_param": "per_page"})
    );
    assert_eq!(settings["page_size"], 250);
    let types = [
        "id", "name", "weight", "born", "seen_at", "tag", "tame", "owner", "names",
    ]
    .map(|name| settings["columns"][name]["type"].as_str().unwrap().to_owned());
    assert_eq!(
        types,
        [
            "bigint",
            "text",
            "numeric",
            "date",
            "timestamptz",
            "uuid",
            "boolean",
            "jsonb",
            "jsonb"
        ]
    );
    let statement = job.statement.unwrap();
    assert!(statement.contains("'pets',\n  'pet_store',\n  '/pets'"), "{statement}");
    assert!(job.evidence.contains("https://api.example.com/v1") && job.evidence.contains("listPets"));
}

#[test]
fn an_envelope_names_the_records_the_next_page_and_the_total() {
    let envelope = |beside: Value| {
        let mut properties = json!({"items": pets()});
        for (name, schema) in beside.as_object().unwrap() {
            properties[name] = schema.clone();
        }
        json!({"type": "object", "properties": properties})
    };
    let text = json!({"type": "string"});
    let uri = json!({"type": "string", "format": "uri", "nullable": true});
    let links = json!({"type": "object", "properties": {"next": uri}});
    for (params, beside, pagination) in [
        (
            json!([]),
            json!({"next": uri}),
            json!({"type": "next_url", "next": "$.next"}),
        ),
        (
            json!([]),
            json!({"links": links}),
            json!({"type": "next_url", "next": "$.links.next"}),
        ),
        (
            json!([query("cursor")]),
            json!({"next_cursor": text}),
            json!({"type": "cursor", "param": "cursor", "next": "$.next_cursor"}),
        ),
        (
            json!([query("pageToken")]),
            json!({"nextPageToken": text}),
            json!({"type": "cursor", "param": "pageToken", "next": "$.nextPageToken"}),
        ),
        (
            json!([query("offset"), query("limit")]),
            json!({"total": {"type": "integer"}}),
            json!({"type": "offset", "param": "offset", "limit_param": "limit", "total": "$.total"}),
        ),
        (
            json!([query("starting_after"), query("limit")]),
            json!({"has_more": {"type": "boolean"}}),
            json!({"type": "keyset", "param": "starting_after", "column": "id"}),
        ),
    ] {
        let settings = settings(&only(&document(params, envelope(beside))));
        assert_eq!(settings["records"], "$.items");
        assert_eq!(settings["pagination"], pagination);
    }
}

#[test]
fn swagger_2_is_read_as_well() {
    let document = json!({"swagger": "2.0", "info": {"title": "Old"}, "host": "h.example", "basePath": "/api", "schemes": ["http"],
        "securityDefinitions": {"k": {"type": "apiKey", "name": "X-Key", "in": "header"}}, "security": [{"k": []}],
        "paths": {"/orders": {"get": {"parameters": [{"name": "page", "in": "query", "type": "integer", "default": 0}],
            "responses": {"200": {"schema": {"type": "array", "items": {"$ref": "#/definitions/Order"}}}}}}},
        "definitions": {"Order": {"allOf": [{"$ref": "#/definitions/Base"}, {"properties": {"sum": {"type": "number"}}}]},
            "Base": {"properties": {"id": {"type": "integer"}}}}});
    let job = only(&document);
    assert_eq!(
        settings(&job)["pagination"],
        json!({"type": "page", "param": "page", "start": 0})
    );
    assert_eq!(settings(&job)["columns"]["sum"]["type"], "numeric");
    assert!(job.evidence.contains("http://h.example/api") && job.evidence.contains("api_key_name X-Key"));
}

#[test]
fn what_only_a_person_knows_is_a_doubt_without_a_statement() {
    let mut nested = document(json!([]), pets());
    let item = nested["paths"]["/pets"].take();
    nested["paths"] = json!({"/owners/{owner}/pets": item});
    let job = only(&nested);
    assert!(
        job.statement.is_none()
            && job
                .doubt
                .unwrap()
                .contains("owner: one read for each of them (foreach)")
    );
    assert_eq!(job.name, "pets");
    let required = json!([{"name": "shop", "in": "query", "required": true, "schema": {"type": "string"}}]);
    let job = only(&document(required, pets()));
    assert!(job.statement.is_none() && job.doubt.unwrap().contains("values for shop"));
    let with_default =
        json!([{"name": "v", "in": "query", "required": true, "schema": {"type": "string", "enum": ["a"]}}]);
    let job = only(&document(with_default, pets()));
    assert_eq!(settings(&job)["params"], json!({"v": "a"}));
    let keyless = json!({"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}});
    let job = only(&document(json!([]), keyless));
    assert!(job.statement.is_none() && job.doubt.unwrap().contains("No member is named as a key"));
}

#[test]
fn answers_that_are_no_lists_are_not_planned() {
    for schema in [
        json!({"$ref": "#/components/schemas/Pet"}),
        json!({"type": "array", "items": {"type": "string"}}),
        json!({"type": "object", "properties": {"id": {"type": "integer"}, "lines": pets()}}),
        json!({"$ref": "#/nowhere"}),
        json!({"$ref": "https://evil.example/schema.json"}),
        json!({}),
    ] {
        assert_eq!(planned(&document(json!([]), schema.clone())), [], "{schema}");
    }
}

#[test]
fn a_marked_key_comes_before_a_named_one() {
    let items = json!({"type": "object", "properties": {"id": {"type": "integer"}, "sku": {"type": "string", "x-primary-key": true}}});
    assert_eq!(
        only(&document(json!([]), json!({"type": "array", "items": items}))).key,
        ["sku"]
    );
}

#[test]
fn names_are_distinct_and_quoted_in_statements() {
    let mut twice = document(json!([]), pets());
    let item = twice["paths"]["/pets"].clone();
    twice["paths"] = json!({"/a/pets": item, "/b/pets": item, "/it's/o'pets": item});
    let jobs = planned(&twice);
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["pets", "pets_2", "o_pets"]);
    assert!(jobs[2].statement.as_ref().unwrap().contains("'/it''s/o''pets'"));
}

#[test]
fn circles_and_explosions_end() {
    let circle = document(json!([{"$ref": "#/paths/~1pets/get/parameters/0"}]), pets());
    assert_eq!(only(&circle).key, ["id"]);
    // Each schema is made of ten of the next: ten to the power of eight looks without a bound.
    let mut schemas = serde_json::Map::new();
    for level in 0..12 {
        let part = json!({"$ref": format!("#/components/schemas/L{}", level + 1)});
        schemas.insert(format!("L{level}"), json!({"allOf": vec![part; 10]}));
    }
    let mut exploding = document(
        json!([]),
        json!({"type": "array", "items": {"$ref": "#/components/schemas/L0"}}),
    );
    exploding["components"]["schemas"] = Value::Object(schemas);
    assert_eq!(plan(&exploding.to_string()), Err(OpenApiFault::TooLarge));
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(plan(&deep), Err(OpenApiFault::TooDeep));
}

#[test]
fn what_is_no_openapi_document_is_refused() {
    for text in [
        "{}",
        "[]",
        "7",
        r#"{"openapi": "4.0"}"#,
        r#"{"openapi": "3.0.0"}"#,
        r#"{"paths": {}}"#,
    ] {
        let fault = plan(text).unwrap_err();
        assert_eq!(fault, OpenApiFault::NotOpenApi, "{text}");
        assert_eq!(fault.sqlstate(), "22023");
    }
    assert_eq!(planned(&json!({"openapi": "3.1.0", "paths": {}})), []);
    assert_eq!(
        planned(&json!({"openapi": "3.1.0", "paths": {"/a": null, "/b": {"get": 7}}})),
        []
    );
}

#[test]
fn listed_texts_without_a_type_are_text() {
    for (listed, column_type) in [
        (json!(["new", "sold", null]), json!("text")),
        (json!(["new", 7]), json!("jsonb")),
        (json!([null]), json!("jsonb")),
    ] {
        let items = json!({"properties": {"id": {"type": "integer"}, "state": {"enum": listed}}});
        let job = only(&document(json!([]), json!({"type": "array", "items": items})));
        assert_eq!(settings(&job)["columns"]["state"]["type"], column_type, "{listed}");
    }
}

#[test]
fn a_path_with_a_blank_is_encoded_and_one_that_no_job_can_have_says_why() {
    let with_path = |path: &str| {
        let mut document = document(json!([]), pets());
        let item = document["paths"]["/pets"].take();
        document["paths"] = json!({ path: item });
        only(&document)
    };
    for (path, encoded) in [("/all pets", "/all%20pets"), ("/a\u{a0}b/pets", "/a%C2%A0b/pets")] {
        let job = with_path(path);
        assert_eq!(job.path, encoded);
        assert!(job.statement.unwrap().contains(&format!("'{encoded}'")), "{path}");
    }
    for path in [
        "/pets?kind=cat",
        "/pets#all",
        "/a//pets",
        "/../pets",
        "/a\\pets",
        "/a\npets",
        "/a%2fpets",
        "/100%",
    ] {
        let job = with_path(path);
        let doubt = job.doubt.unwrap_or_default();
        assert_eq!(job.statement, None, "{path}");
        assert!(doubt.contains("No job can have this path: "), "{path}: {doubt}");
    }
}
