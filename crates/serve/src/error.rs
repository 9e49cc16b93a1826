//! Errors as values, each with its status and its body.

use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    http::{StatusCode, header},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    echo::{beginning, shortened},
    engine::Failure,
};

/// What is answered instead of a result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The request is not of its form: syntax, encoding, multipart.
    #[error("{0}")]
    Malformed(String),
    /// A sentence, or a list of them, is empty.
    #[error("{0}")]
    Empty(String),
    /// There is no API key, or a wrong one.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// There is no such route.
    #[error("no route {}; /docs has them all", beginning(.0))]
    NotFound(String),
    /// There is nothing to search.
    #[error("this server has no corpus to search: it is started with one by --corpus DIR")]
    NoCorpus,
    /// There is nothing that embeds.
    #[error(
        "this server has a reranker alone, and no embeddings: it is started with both by leaving out --reranker-only"
    )]
    NoEncoder,
    /// There is nothing that reads two texts together.
    #[error("this server has no reranker: it is started with one by --reranker DIR_OR_HUB_ID")]
    NoReranker,
    /// The route is there for other methods.
    #[error("{} is not for this route, which has {allow}", beginning(method))]
    MethodNotAllowed {
        /// The method of the request.
        method: String,
        /// Those that there are.
        allow: &'static str,
    },
    /// The request did not arrive in time.
    #[error("{0} did not arrive within {1} s")]
    TooSlow(&'static str, f64),
    /// The request is beyond a limit.
    #[error("{0}")]
    TooLarge(String),
    /// The body is of another type.
    #[error("expected a body of type {0}")]
    MediaType(&'static str),
    /// A value of the request does not serve.
    #[error("{0}")]
    Invalid(String),
    /// The file cannot be read.
    #[error("file: {}", about_file(.0))]
    Table(tables::Error),
    /// The tokenizer refused a sentence.
    #[error("{0}")]
    Tokenizer(String),
    /// Too much is in work.
    #[error("the server is overloaded: try again in {retry_after} s")]
    Overloaded {
        /// Seconds after which there should be room.
        retry_after: u64,
    },
    /// There is no place for the request, or no memory for its body or its answer.
    #[error("the server has as many requests in hand as it takes: try again in {retry_after} s")]
    Busy {
        /// Seconds after which there should be room.
        retry_after: u64,
    },
    /// The request is for another host.
    #[error(
        "the request is for another host: this server has a corpus and no API keys, and answers for this machine's own names and those given by --allowed-host"
    )]
    Misdirected,
    /// The request was not answered in time.
    #[error("the answer was not ready within {0} s")]
    Late(f64),
    /// The encoder, or the server itself, failed.
    #[error("{0}")]
    Backend(String),
    /// The server does not take requests.
    #[error("{0}")]
    Unhealthy(&'static str),
}

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum ErrorType {
    /// The server does not take requests.
    Unhealthy,
    /// The encoder, or the server itself, failed.
    Backend,
    /// Too much is in work: try again.
    Overloaded,
    /// The request is not as it should be.
    Validation,
    /// The tokenizer refused a sentence.
    Tokenizer,
    /// A sentence, or a list of them, is empty.
    Empty,
    /// There is no API key, or a wrong one.
    Unauthorized,
    /// There is no such route.
    NotFound,
    /// Something took too long.
    Timeout,
}

/// The body of an error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What was wrong, and what to do.
    #[schema(example = "`sentence1` is empty")]
    pub(crate) error: String,
    /// Its kind.
    pub(crate) error_type: ErrorType,
    /// Where a file's column has to be chosen: all that there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) columns: Option<Vec<ColumnChoice>>,
}

/// A column of a file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ColumnChoice {
    /// Its name, or its number (from 0) where there is no header.
    #[schema(example = "sentence1")]
    pub(crate) name: String,
    /// The beginning of its first value.
    #[schema(example = "비가 온다.")]
    pub(crate) first: String,
}

/// The body of an error on OpenAI's route.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenAiErrorBody {
    /// The error.
    pub(crate) error: OpenAiError,
}

/// An error as OpenAI has it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenAiError {
    /// What was wrong, and what to do.
    pub(crate) message: String,
    /// Its kind.
    #[serde(rename = "type")]
    #[schema(example = "invalid_request_error")]
    pub(crate) kind: &'static str,
    /// Always null.
    #[schema(value_type = Option<String>)]
    pub(crate) param: Option<&'static str>,
    /// Always null.
    #[schema(value_type = Option<String>)]
    pub(crate) code: Option<&'static str>,
}

impl ApiError {
    /// Its kind.
    pub(crate) fn error_type(&self) -> ErrorType {
        match self {
            Self::Malformed(_)
            | Self::MethodNotAllowed { .. }
            | Self::TooLarge(_)
            | Self::MediaType(_)
            | Self::Misdirected
            | Self::Invalid(_) => ErrorType::Validation,
            Self::Table(tables::Error::Io(_)) | Self::Backend(_) => ErrorType::Backend,
            Self::Table(_) => ErrorType::Validation,
            Self::Empty(_) => ErrorType::Empty,
            Self::Unauthorized(_) => ErrorType::Unauthorized,
            Self::NotFound(_) | Self::NoCorpus | Self::NoEncoder | Self::NoReranker => ErrorType::NotFound,
            Self::TooSlow(..) | Self::Late(_) => ErrorType::Timeout,
            Self::Tokenizer(_) => ErrorType::Tokenizer,
            Self::Overloaded { .. } | Self::Busy { .. } => ErrorType::Overloaded,
            Self::Unhealthy(_) => ErrorType::Unhealthy,
        }
    }

    /// Its name in the log. The log has no text of clients, so it has no message of an error that may quote one.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Empty(_) => "empty",
            Self::Unauthorized(_) => "unauthorized",
            Self::NotFound(_) => "no such route",
            Self::NoCorpus => "no corpus",
            Self::NoEncoder => "no encoder",
            Self::NoReranker => "no reranker",
            Self::MethodNotAllowed { .. } => "method not allowed",
            Self::TooSlow(..) => "too slow",
            Self::TooLarge(_) => "too large",
            Self::MediaType(_) => "media type",
            Self::Invalid(_) => "invalid",
            Self::Table(tables::Error::Io(_)) => "unreadable upload",
            Self::Table(_) => "table",
            Self::Tokenizer(_) => "tokenizer",
            Self::Overloaded { .. } => "overloaded",
            Self::Busy { .. } => "busy",
            Self::Misdirected => "misdirected",
            Self::Late(_) => "late",
            Self::Backend(_) => "backend",
            Self::Unhealthy(_) => "unhealthy",
        }
    }

    /// What the server itself has to say of it, for the log: of what is the server's fault, all.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Backend(what) => Some(what),
            Self::Unhealthy(what) => Some(what),
            _ => None,
        }
    }

    /// The answer in OpenAI's form; a value that does not serve is a bad request there.
    pub(crate) fn openai_response(&self) -> HttpResponse {
        let status = match self.status_code() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        };
        let kind = match status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let error = OpenAiError { message: shortened(&self.to_string()), kind, param: None, code: None };
        self.builder(status).json(OpenAiErrorBody { error })
    }

    fn builder(&self, status: StatusCode) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(status);
        let header = match self {
            Self::Overloaded { retry_after } | Self::Busy { retry_after } => {
                (header::RETRY_AFTER, retry_after.to_string())
            }
            Self::Late(_) | Self::Unhealthy(_) => (header::RETRY_AFTER, "5".to_owned()),
            Self::MethodNotAllowed { allow, .. } => (header::ALLOW, (*allow).to_owned()),
            Self::Unauthorized(_) => (header::WWW_AUTHENTICATE, "Bearer".to_owned()),
            _ => return response,
        };
        response.insert_header(header);
        response
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Empty(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) | Self::NoCorpus | Self::NoEncoder | Self::NoReranker => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow(..) => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Table(tables::Error::Io(_)) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Invalid(_) | Self::Table(_) | Self::Tokenizer(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Overloaded { .. } | Self::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Backend(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Late(_) | Self::Unhealthy(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let columns = match self {
            Self::Table(tables::Error::Unclear { columns, .. }) => {
                let choice = |column: &tables::Candidate| ColumnChoice {
                    name: column.name.clone(),
                    first: column.first.clone(),
                };
                Some(columns.iter().map(choice).collect())
            }
            _ => None,
        };
        let (error, error_type) = (shortened(&self.to_string()), self.error_type());
        self.builder(self.status_code()).json(ErrorBody { error, error_type, columns })
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Overloaded { retry_after } => Self::Overloaded { retry_after },
            Failure::Encoder(_) => Self::Backend(failure.to_string()),
            Failure::Stopped => Self::Unhealthy("the engine has stopped"),
        }
    }
}

impl From<tables::Error> for ApiError {
    fn from(error: tables::Error) -> Self {
        Self::Table(error)
    }
}

/// What is wrong with a file, and which field of the form helps.
fn about_file(error: &tables::Error) -> String {
    match error {
        tables::Error::Unclear { problem, .. } => format!("{problem}: name the column of the sentences by `column`"),
        error => error.to_string(),
    }
}

impl From<actix_web::error::BlockingError> for ApiError {
    fn from(_: actix_web::error::BlockingError) -> Self {
        Self::Backend("a thread of the server ended before its time".to_owned())
    }
}
