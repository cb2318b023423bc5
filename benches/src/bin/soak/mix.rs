//! `Kind`: the kinds of requests, their proportions, their bytes, and the statuses that each may be answered with.

/// The server's worker threads at most: so many held handlers leave none.
pub(crate) const WORKERS: usize = 8;
/// The server's limit of one route for a body, in bytes.
pub(crate) const LIMIT: usize = 1024;
/// Requests that nobody has room for, each time when there is none.
pub(crate) const REFUSED: usize = 20;

const BODY: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// No body, a short answer.
    Small,
    /// Captures, query, many headers and a body, which comes back.
    Full,
    Exception,
    /// The handler breaks the contract, in one of several ways.
    Contract,
    /// A body over the limit that says so.
    TooLarge,
    /// One that does not.
    TooLargeInChunks,
    /// The client closes the connection before the answer.
    Left,
    /// The client closes the connection in the middle of its body.
    LeftHalfway,
    /// The handler takes longer than its deadline.
    Late,
    /// Keeps all workers busy and the queue of one app full for a moment: [`Held`](Self::Held),
    /// [`Queued`](Self::Queued) and [`Refused`](Self::Refused) are what is sent meanwhile.
    Overload,
    Held,
    Queued,
    Refused,
}

impl Kind {
    /// The kind of the request of this number. Any forty thousand in a row have the same mix.
    pub(crate) fn of(number: u64) -> Self {
        // A prime, so that the kinds are spread.
        match (number % 10_000) * 7_919 % 10_000 {
            7_180..9_180 => Self::Full,
            9_180..9_580 => Self::Exception,
            9_580..9_930 => Self::Contract,
            9_930..9_960 => Self::TooLarge,
            9_960..9_970 => Self::TooLargeInChunks,
            9_970..9_990 => Self::Left,
            9_990..9_998 => Self::LeftHalfway,
            // Rare, since it keeps a worker busy for long.
            9_998 if (number / 10_000).is_multiple_of(4) => Self::Late,
            9_999 => Self::Overload,
            _ => Self::Small,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "success, small",
            Self::Full => "success, 4 KiB body",
            Self::Exception => "exception",
            Self::Contract => "contract failure",
            Self::TooLarge => "over the body limit",
            Self::TooLargeInChunks => "over the body limit, chunked",
            Self::Left => "client left",
            Self::LeftHalfway => "client left in its body",
            Self::Late => "deadline exceeded",
            Self::Overload => "overload",
            Self::Held => "overload: held",
            Self::Queued => "overload: queued",
            Self::Refused => "overload: refused",
        }
    }

    /// The statuses that are right; 0 stands for none, where the client did not wait.
    pub(crate) fn expected(self) -> &'static [u16] {
        match self {
            Self::Small | Self::Full | Self::Held | Self::Queued => &[200],
            Self::Exception | Self::Contract => &[500],
            Self::TooLarge | Self::TooLargeInChunks => &[413],
            Self::Left | Self::LeftHalfway | Self::Overload => &[0],
            // A machine that is busy may not take it within its deadline.
            Self::Late => &[504, 503],
            Self::Refused => &[503],
        }
    }

    /// The bytes of a request.
    pub(crate) fn request(self, gate: u16) -> Vec<u8> {
        let head = |line: &str| {
            format!("{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: soak\r\nAccept: */*\r\n")
        };
        let get = |target: &str| format!("{}\r\n", head(&format!("GET {target}"))).into_bytes();
        let body = "b".repeat(BODY);
        let post = |target: &str, more: &str, body: &str| {
            format!("{}{more}\r\n{body}", head(&format!("POST {target}"))).into_bytes()
        };
        let length = format!("Content-Length: {BODY}\r\n");
        match self {
            Self::Small | Self::Left | Self::Overload => get("/small"),
            Self::Full => {
                let more = format!(
                    "{length}Content-Type: text/plain; charset=utf-8\r\nAccept-Encoding: gzip, deflate, br\r\n\
                     Accept-Language: en\r\nCookie: session=0123456789abcdef\r\nX-Request-Id: 42\r\nX-Unknown: caf\u{e9}\r\n"
                );
                post(
                    "/full/a%20name/the/rest?page=2&tag=a&tag=%C3%A9&flag",
                    &more,
                    &body,
                )
            }
            Self::Exception => get("/exception"),
            Self::Contract => get("/contract"),
            Self::TooLarge => post("/limited", &length, &body),
            Self::TooLargeInChunks => post(
                "/limited",
                "Transfer-Encoding: chunked\r\n",
                &format!("{BODY:x}\r\n{body}\r\n0\r\n\r\n"),
            ),
            Self::LeftHalfway => post("/full/a/b", &length, &body[..BODY / 2]),
            Self::Late => get("/slow"),
            Self::Held => get(&format!("/hold?gate={gate}")),
            Self::Queued | Self::Refused => get("/crowded"),
        }
    }

    /// The body that must come back, empty where it does not matter.
    pub(crate) fn echo(self) -> Vec<u8> {
        if self == Self::Full {
            vec![b'b'; BODY]
        } else {
            Vec::new()
        }
    }
}
