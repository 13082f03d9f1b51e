//! `/metrics` as a stranger asks for it, byte by byte, and the numbers on the page.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use crate::howdah::{FREE_PORT, Howdah, HowdahBuilder};
use crate::wait::PATIENCE;

impl HowdahBuilder {
    /// Asks for `/metrics`, on a port of its own.
    #[must_use]
    pub fn metrics(self) -> Self {
        self.setting(METRICS_PORT, FREE_PORT)
    }
}

impl Howdah {
    /// Where `/metrics` is.
    ///
    /// # Panics
    /// It was not asked for.
    #[must_use]
    pub fn metrics_address(&self) -> SocketAddr {
        let port = self.setting(METRICS_PORT).and_then(|port| port.parse().ok());
        (Ipv4Addr::LOCALHOST, port.expect("the builder was asked for metrics")).into()
    }

    /// The numbers there are now.
    ///
    /// # Panics
    /// They are refused, or metrics were not asked for.
    #[must_use]
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let page = Page::get(self.metrics_address(), "/metrics");
        assert_eq!(page.status, 200, "{page:?}");
        assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        Metrics(page.body)
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Page {
    /// Such as 200; 0 if there was no answer.
    pub status: u16,
    head: String,
    /// What follows the head.
    pub body: String,
}

impl Page {
    /// Asks for `path`.
    ///
    /// # Panics
    /// Nobody listens.
    #[must_use]
    #[track_caller]
    pub fn get(address: SocketAddr, path: &str) -> Page {
        Page::ask(address, format!("GET {path} HTTP/1.1\r\nHost: howdah\r\n\r\n").as_bytes())
    }

    /// Sends these bytes, as far as they are taken, and reads to the end.
    ///
    /// # Panics
    /// Nobody listens, or there is no end.
    #[must_use]
    #[track_caller]
    pub fn ask(address: SocketAddr, request: &[u8]) -> Page {
        let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
        // Who has heard enough closes before the rest has come.
        let _ = stream.write_all(request);
        Page::read(stream)
    }

    /// Reads what comes to its end, or to a reset.
    ///
    /// # Panics
    /// There is no end.
    #[must_use]
    #[track_caller]
    pub fn read(mut stream: TcpStream) -> Page {
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("no end within {PATIENCE:?}")
            }
            _ => {}
        }
        let text = String::from_utf8(bytes).expect("the answer is UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Page { status: status.unwrap_or(0), head: head.to_owned(), body: body.to_owned() }
    }

    /// The value of a header, by its name in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// A page of numbers.
#[derive(Debug)]
pub struct Metrics(pub String);

impl Metrics {
    /// The sample of that name whose labels hold all of these, if there is one.
    ///
    /// # Panics
    /// There are several.
    #[must_use]
    #[track_caller]
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let mut samples = self.0.lines().filter_map(|line| {
            let (labelled, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            let ours = (labelled.is_empty() || labelled.starts_with('{'))
                && labels.iter().all(|label| labelled.contains(label));
            ours.then(|| value.parse().unwrap_or_else(|_| panic!("{line} has no number")))
        });
        let found = samples.next();
        assert!(samples.next().is_none(), "several {name} with {labels:?}:\n{}", self.0);
        found
    }

    /// The same where there has to be one.
    ///
    /// # Panics
    /// There is none, or several.
    #[must_use]
    #[track_caller]
    pub fn number(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or_else(|| panic!("no {name} with {labels:?}:\n{}", self.0))
    }
}

const METRICS_PORT: &str = "metrics_port";
