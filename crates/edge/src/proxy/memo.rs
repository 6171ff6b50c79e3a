//! A request's head, remembered as flat bytes in case its pooled connection turns out to be dead.
//!
//! Cloning the header map costs an atomic operation per name and value and two allocations; copying the text into
//! a buffer that lives with the connection costs one pass over some hundred bytes, and only a retry pays for
//! taking it apart again.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use super::upload::RequestBody;

/// Enough to send a body-less request a second time.
pub(crate) struct Memo {
    method: Method,
    uri: Uri,
    headers: Vec<u8>,
}

impl Memo {
    /// Remembers a request, if it may be repeated: idempotent and without a body.
    pub(crate) fn of(request: &Request<RequestBody>, scratch: Vec<u8>) -> Result<Memo, Vec<u8>> {
        if !request.method().is_idempotent() || !request.body().is_empty() {
            return Err(scratch);
        }
        let mut headers = scratch;
        headers.clear();
        for (name, value) in request.headers() {
            write_piece(&mut headers, name.as_str().as_bytes());
            write_piece(&mut headers, value.as_bytes());
        }
        Ok(Memo { method: request.method().clone(), uri: request.uri().clone(), headers })
    }

    /// The buffer, for the next request.
    pub(crate) fn into_scratch(self) -> Vec<u8> {
        self.headers
    }

    /// The request again.
    pub(crate) fn request(&self) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = self.headers();
        request
    }

    fn headers(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        let mut rest = self.headers.as_slice();
        while let Some((name, after_name)) = read_piece(rest)
            && let Some((value, after_value)) = read_piece(after_name)
        {
            // Both were valid when they were written.
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
            rest = after_value;
        }
        map
    }
}

fn write_piece(to: &mut Vec<u8>, piece: &[u8]) {
    let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
    to.extend_from_slice(&length.to_le_bytes());
    to.extend_from_slice(piece);
}

fn read_piece(from: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = from.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_request_comes_back_as_it_was() {
        let request = Request::builder()
            .method("GET")
            .uri("/a?b=c")
            .header("host", "x")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("x-empty", "")
            .body(RequestBody::Empty)
            .unwrap();
        let memo = Memo::of(&request, vec![1, 2, 3]).ok().unwrap();
        let again = memo.request();
        assert_eq!(again.uri(), request.uri());
        assert_eq!(again.headers(), request.headers());
    }

    #[test]
    fn a_post_is_not_remembered() {
        let request = Request::post("/").body(RequestBody::Empty).unwrap();
        assert!(Memo::of(&request, vec![]).is_err());
    }
}
