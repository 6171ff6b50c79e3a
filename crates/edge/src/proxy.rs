//! What happens to one request between the client's side and the service's side.

pub(crate) mod answer;
pub(crate) mod attempt;
pub(crate) mod call;
pub(crate) mod chance;
mod check;
pub(crate) mod download;
pub(crate) mod forward;
pub(crate) mod gate;
mod goodbye;
pub(crate) mod grpc;
pub(crate) mod headers;
pub(crate) mod hold;
pub(crate) mod loan;
pub(crate) mod memo;
pub(crate) mod pace;
pub(crate) mod stay;
mod talk;
pub(crate) mod tunnel;
pub(crate) mod underscores;
pub(crate) mod upload;
mod websocket;
pub(crate) mod whom;
