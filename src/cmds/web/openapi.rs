//! The OpenAPI document, made of the endpoints. The libraries that do this want either a second description of every type
//! or an unfinished version; the schemas come from the descriptions that the types have anyway.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::routing::get;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Web;
use super::endpoint::{Answer, Body, Endpoint};
use crate::http::Scope;

/// What is said when something was not done.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct ProblemBody {
    /// What is wrong and what to do, for people.
    error: String,
    /// The reason, for programs.
    code: String,
    /// What else belongs to it.
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// The document, OpenAPI 3.1.
pub(super) fn document(endpoints: &[Endpoint]) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in endpoints {
        let operation = operation(endpoint, &mut generator);
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.insert(endpoint.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Facewarden",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Face verification at a door, and comparison of pictures.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "token": {
                "type": "http", "scheme": "bearer", "description": scopes(),
            } },
        },
    })
}

fn scopes() -> String {
    let names: Vec<&str> = Scope::ALL.into_iter().map(Scope::as_str).collect();
    format!("A token that `facewarden token create` made. Scopes: {}.", names.join(", "))
}

fn operation(endpoint: &Endpoint, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": operation_id(endpoint),
        "summary": endpoint.summary,
        "tags": [endpoint.group],
        "security": endpoint.scope.map_or_else(|| json!([]), |scope| json!([{ "token": [scope.as_str()] }])),
        "responses": responses(endpoint, generator),
    });
    let mut parameters: Vec<Value> = names_in(endpoint.path).map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
    }).collect();
    if let Some(query) = endpoint.query {
        parameters.extend(query_parameters(&query(generator).to_value()));
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = &endpoint.body {
        operation["requestBody"] = request_body(body, generator);
    }
    operation
}

fn operation_id(endpoint: &Endpoint) -> String {
    let words = endpoint.path.split(['/', '-', '.']).filter(|word| !word.is_empty());
    let words = words.map(|word| word.trim_matches(['{', '}']));
    std::iter::once(endpoint.method.as_str().to_ascii_lowercase().as_str())
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
}

fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn query_parameters(schema: &Value) -> Vec<Value> {
    let Some(fields) = schema["properties"].as_object() else { return Vec::new() };
    let is_required =
        |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    let parameter = |(name, schema): (&String, &Value)| json!({ "name": name, "in": "query", "required": is_required(name), "schema": schema });
    fields.iter().map(parameter).collect()
}

fn request_body(body: &Body, generator: &mut SchemaGenerator) -> Value {
    let schema = (body.schema)(generator);
    let mut content = json!({ "application/json": { "schema": schema, "example": body.example } });
    if body.is_also_form {
        content["multipart/form-data"] = json!({ "schema": { "type": "object" } });
    }
    json!({ "required": true, "content": content })
}

fn responses(endpoint: &Endpoint, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for Answer { status, what, content, schema, example } in &endpoint.answers {
        let mut response = json!({ "description": what });
        if !content.is_empty() {
            let mut media = schema.map_or_else(|| json!({}), |schema| json!({ "schema": schema(generator) }));
            if let Some(example) = example {
                media["example"] = example.clone();
            }
            response["content"] = json!({ *content: media });
        }
        responses.insert(status.as_u16().to_string(), response);
    }
    let problem = generator.subschema_for::<ProblemBody>();
    responses.insert(
        "default".to_owned(),
        json!({
            "description": "It was not done, and why", "content": { "application/json": { "schema": problem } }
        }),
    );
    responses.into()
}

/// Serves the document.
pub(super) fn router(document: &Value) -> Router<Web> {
    let text = Bytes::from(document.to_string());
    let serve = move || {
        let text = text.clone();
        async move { ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text) }
    };
    Router::new().route("/openapi.json", get(serve))
}

#[cfg(test)]
mod tests {
    use super::super::routes::endpoints;
    use super::super::upload::Limits;
    use super::*;
    use crate::config::HttpVerify;

    #[test]
    fn every_endpoint_says_what_it_does_and_gives() {
        let endpoints = endpoints(Limits::of(&HttpVerify::default()));
        for endpoint in &endpoints {
            let (method, path) = (&endpoint.method, endpoint.path);
            assert!(!endpoint.summary.is_empty() && !endpoint.group.is_empty(), "{method} {path}");
            assert!(endpoint.answers.iter().any(|answer| answer.status.is_success()), "{method} {path}");
        }
        let document = document(&endpoints);
        let mut ids: Vec<&str> = Vec::new();
        for operations in document["paths"].as_object().unwrap().values() {
            ids.extend(
                operations.as_object().unwrap().values().map(|one| one["operationId"].as_str().unwrap()),
            );
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), count), (count, endpoints.len()), "each has an id of its own");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document(&endpoints(Limits::of(&HttpVerify::default())));
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(!references.is_empty());
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| collect(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
            _ => (),
        }
    }
}
