//! One endpoint: how it is asked, who may, what comes back, and what does it. The router and the OpenAPI document are both
//! made of these, so that neither can say what the other does not.

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::Web;
use crate::http::Scope;

/// The largest body, unless an endpoint says otherwise, bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Makes the schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One endpoint.
pub(super) struct Endpoint {
    pub(super) method: Method,
    /// With `{names}` in it.
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    /// Under which heading it stands.
    pub(super) group: &'static str,
    /// What a token needs for it; `None`: open to everybody.
    pub(super) scope: Option<Scope>,
    pub(super) query: Option<SchemaOf>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    max_body: usize,
    handler: MethodRouter<Web>,
}

/// What is sent.
pub(super) struct Body {
    pub(super) schema: SchemaOf,
    pub(super) example: Value,
    /// True if the same fields can be sent as a form with files.
    pub(super) is_also_form: bool,
}

/// One kind of answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) what: &'static str,
    pub(super) content: &'static str,
    /// `None` where it is no JSON.
    pub(super) schema: Option<SchemaOf>,
    pub(super) example: Option<Value>,
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Of a query the schema itself is wanted, since its fields become parameters.
fn root_schema_of<T: JsonSchema>(_: &mut SchemaGenerator) -> Schema {
    SchemaGenerator::default().into_root_schema_for::<T>()
}

impl Endpoint {
    fn new<H: Handler<T, Web>, T: 'static>(
        filter: MethodFilter,
        method: Method,
        path: &'static str,
        does: H,
    ) -> Self {
        Self {
            method,
            path,
            summary: "",
            group: "",
            scope: Some(Scope::Admin),
            query: None,
            body: None,
            answers: Vec::new(),
            max_body: MAX_BODY_BYTES,
            handler: on(filter, does),
        }
    }

    pub(super) fn get<H: Handler<T, Web>, T: 'static>(path: &'static str, does: H) -> Self {
        Self::new(MethodFilter::GET, Method::GET, path, does)
    }

    pub(super) fn post<H: Handler<T, Web>, T: 'static>(path: &'static str, does: H) -> Self {
        Self::new(MethodFilter::POST, Method::POST, path, does)
    }

    pub(super) fn patch<H: Handler<T, Web>, T: 'static>(path: &'static str, does: H) -> Self {
        Self::new(MethodFilter::PATCH, Method::PATCH, path, does)
    }

    pub(super) fn delete<H: Handler<T, Web>, T: 'static>(path: &'static str, does: H) -> Self {
        Self::new(MethodFilter::DELETE, Method::DELETE, path, does)
    }

    /// What it does, in a few words, and the heading it stands under.
    pub(super) fn about(self, group: &'static str, summary: &'static str) -> Self {
        Self { group, summary, ..self }
    }

    /// What a token needs for it. Without this, `admin`.
    pub(super) fn needs(self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// Everybody may.
    pub(super) fn open(self) -> Self {
        Self { scope: None, ..self }
    }

    /// What may stand behind the `?`: the fields of a structure.
    pub(super) fn query<T: JsonSchema>(self) -> Self {
        Self { query: Some(root_schema_of::<T>), ..self }
    }

    /// JSON is sent, such as `example`.
    pub(super) fn takes<T: JsonSchema>(self, example: Value) -> Self {
        Self { body: Some(Body { schema: schema_of::<T>, example, is_also_form: false }), ..self }
    }

    /// The same fields can be sent as a form with files.
    pub(super) fn or_form(mut self) -> Self {
        self.body = self.body.map(|body| Body { is_also_form: true, ..body });
        self
    }

    /// Bodies up to so many bytes.
    pub(super) fn up_to(self, max_body: usize) -> Self {
        Self { max_body, ..self }
    }

    /// JSON comes back, such as `example`.
    pub(super) fn gives<T: JsonSchema>(self, status: StatusCode, what: &'static str, example: Value) -> Self {
        let schema: SchemaOf = schema_of::<T>;
        self.answer(Answer {
            status,
            what,
            content: "application/json",
            schema: Some(schema),
            example: Some(example),
        })
    }

    /// Something else than JSON comes back, or nothing.
    pub(super) fn gives_other(self, status: StatusCode, what: &'static str, content: &'static str) -> Self {
        self.answer(Answer { status, what, content, schema: None, example: None })
    }

    /// It may be refused so.
    pub(super) fn refuses(self, status: StatusCode, what: &'static str) -> Self {
        self.answer(Answer {
            status,
            what,
            content: "application/json",
            schema: Some(schema_of::<super::openapi::ProblemBody>),
            example: None,
        })
    }

    fn answer(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    /// What does it, behind the check of who may and the limit of what is sent.
    pub(super) fn into_handler(self, web: &Web) -> MethodRouter<Web> {
        let handler = self.handler.layer(DefaultBodyLimit::max(self.max_body));
        match self.scope {
            Some(scope) => handler.layer(from_fn_with_state((web.clone(), scope), admit)),
            None => handler,
        }
    }
}

/// Lets in who may, and notes who it is for the handler.
async fn admit(State((web, scope)): State<(Web, Scope)>, mut request: Request, next: Next) -> Response {
    match web.gate.admit(&request, scope) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}
