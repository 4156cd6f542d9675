//! Failures as the Distribution spec writes them: `{"errors":[{"code","message"}]}` and a status.

use crate::store::StoreError;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

/// The spec's codes, and the few conditions it has no code for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestTooLarge,
    ManifestUnknown,
    MethodNotAllowed,
    NameInvalid,
    NameUnknown,
    NotFound,
    PaginationInvalid,
    RangeInvalid,
    RangeOfBlob,
    SizeInvalid,
    TagInvalid,
    Unauthorized,
    DiskFull,
    Internal,
}

impl Code {
    fn parts(self) -> (StatusCode, &'static str) {
        match self {
            Self::BlobUnknown => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            Self::BlobUploadInvalid => (StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
            Self::BlobUploadUnknown => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            Self::DigestInvalid => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            Self::ManifestBlobUnknown => (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
            Self::ManifestInvalid => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            Self::ManifestTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID"),
            Self::ManifestUnknown => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
            Self::NameInvalid => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            Self::NameUnknown => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            Self::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::PaginationInvalid => (StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID"),
            Self::RangeInvalid => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            Self::RangeOfBlob => (StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID"),
            Self::SizeInvalid => (StatusCode::BAD_REQUEST, "SIZE_INVALID"),
            Self::TagInvalid => (StatusCode::BAD_REQUEST, "TAG_INVALID"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Self::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "E_DISK_FULL"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
        }
    }
}

/// A refused or failed request.
#[derive(Debug)]
pub(super) struct Failure {
    code: Code,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> Code {
        self.code
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::DigestMismatch { .. } => Code::DigestInvalid,
            StoreError::BlobUnknown(_) => Code::BlobUnknown,
            StoreError::ManifestUnknown => Code::ManifestUnknown,
            StoreError::ManifestInvalid(_) => Code::ManifestInvalid,
            StoreError::UploadUnknown => Code::BlobUploadUnknown,
            StoreError::Range { .. } => Code::RangeInvalid,
            StoreError::Size { .. } => Code::SizeInvalid,
            StoreError::Sender(_) => Code::BlobUploadInvalid,
            StoreError::DiskFull => Code::DiskFull,
            StoreError::Corrupt(_) | StoreError::Io(_) => Code::Internal,
        };
        if matches!(code, Code::DiskFull | Code::Internal) {
            tracing::error!(%error, "the registry could not serve a request");
        }
        // The cause of an input/output error names paths of the host: it stays in the log.
        let message = match error {
            StoreError::Io(_) => "the registry's disk failed; its log has the cause".to_owned(),
            other => other.to_string(),
        };
        Self::new(code, message)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code) = self.code.parts();
        let body = serde_json::json!({"errors": [{"code": code, "message": self.message}]}).to_string();
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}
