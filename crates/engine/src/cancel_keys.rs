//! The cancel keys given to clients: Howdah's own, since a client's server connection changes.

use std::sync::{Mutex, PoisonError};

use howdah_core::pool::WorkerId;
use howdah_wire::cancel_key::{CancelKey, CancelSecret};
use rustc_hash::FxHashMap;

/// Who may cancel what.
pub(crate) struct CancelKeys {
    inner: Mutex<Inner>,
}

struct Inner {
    last_pid: u32,
    by_pid: FxHashMap<u32, Holder>,
}

/// The client a key belongs to.
#[derive(Clone)]
pub(crate) struct Holder {
    key: CancelKey,
    pub(crate) worker: WorkerId,
    pub(crate) client: u64,
}

impl CancelKeys {
    pub(crate) fn new(first_pid: u32) -> CancelKeys {
        CancelKeys { inner: Mutex::new(Inner { last_pid: first_pid, by_pid: FxHashMap::default() }) }
    }

    /// A key for this client. The protocol's minor version decides how long the secret may be.
    pub(crate) fn issue(
        &self,
        minor: u16,
        worker: WorkerId,
        client: u64,
        random: impl Fn(&mut [u8]),
    ) -> CancelKey {
        let mut secret = [0; 32];
        random(&mut secret);
        let length = if minor >= 2 { 32 } else { 4 };
        let secret = secret.get(..length).and_then(CancelSecret::new).expect("4 and 32 bytes are allowed");
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // PIDs are positive and below 2^22 on Linux; drivers keep them in an i32.
            inner.last_pid = (inner.last_pid + 1) & 0x3fff_ffff;
            let pid = inner.last_pid;
            if pid != 0 && !inner.by_pid.contains_key(&pid) {
                let key = CancelKey { pid, secret };
                inner.by_pid.insert(pid, Holder { key: key.clone(), worker, client });
                return key;
            }
        }
    }

    /// The client is another worker's now.
    pub(crate) fn moved(&self, pid: u32, worker: WorkerId) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holder) = inner.by_pid.get_mut(&pid) {
            holder.worker = worker;
        }
    }

    /// The client has gone, or never came.
    pub(crate) fn revoke(&self, pid: u32) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).by_pid.remove(&pid);
    }

    /// Whose key this is. Secrets are compared in constant time.
    pub(crate) fn holder(&self, key: &CancelKey) -> Option<Holder> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.by_pid.get(&key.pid).filter(|holder| holder.key == *key).cloned()
    }
}
