//! How many clients may be inside: in total, of one database, of one user.
//!
//! A client takes a [`Place`] when it connects, before it has said who it is, and gives it back when it leaves.
//! The console does not count against `max_client_conn`: when Howdah is full, a few more may still knock, and
//! those who turn out to be administrators get in.

use std::collections::BTreeMap;
use std::sync::Arc;

use howdah_wire::ErrorResponse;

use super::Identity;
use crate::refusal;
use crate::settings::{ClientLimits, Settings};

/// Who is inside. Plain numbers: whoever shares it brings the lock.
#[derive(Debug, Default)]
pub struct Admission {
    ordinary: u32,
    spare: u32,
    console: u32,
    databases: BTreeMap<Arc<str>, u32>,
    users: BTreeMap<Arc<str>, u32>,
}

/// A client's place; give it back to [`Admission::leave`].
#[must_use = "a place that is not given back is taken for ever"]
#[derive(Debug)]
pub struct Place {
    lane: Lane,
    counted: Option<(Arc<str>, Arc<str>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// Within `max_client_conn`.
    Ordinary,
    /// Beyond it, in the hope that an administrator knocks.
    Spare,
    /// On the console.
    Console,
}

impl Admission {
    /// Somebody knocks.
    ///
    /// # Errors
    /// `max_client_conn` is reached, and the lane for administrators is full too.
    pub fn arrive(&mut self, limits: &ClientLimits) -> Result<Place, ErrorResponse> {
        let lane = if self.ordinary < limits.max_client_conn {
            Lane::Ordinary
        } else if self.spare < CONSOLE_LANE {
            Lane::Spare
        } else {
            return Err(refusal::too_many_clients());
        };
        *self.count(lane) += 1;
        Ok(Place { lane, counted: None })
    }

    /// Somebody has logged in.
    ///
    /// # Errors
    /// There are too many: in total, of the database, of the user, or on the console. The place is still taken.
    pub fn admit(
        &mut self,
        settings: &Settings,
        place: &mut Place,
        identity: &Identity,
    ) -> Result<(), ErrorResponse> {
        if identity.admin.is_some() {
            return self.admit_to_console(place);
        }
        if place.lane != Lane::Ordinary {
            return Err(refusal::too_many_clients());
        }
        let (database, user) = (&identity.database, &identity.user);
        let limits = &settings.clients;
        let of_database = settings.database(database).and_then(|entry| entry.max_db_client_connections);
        if is_full(&self.databases, database, of_database.unwrap_or(limits.max_per_database)) {
            return Err(refusal::too_many_clients_of_database());
        }
        let of_user = settings.users.get(&**user).and_then(|entry| entry.max_user_client_connections);
        if is_full(&self.users, user, of_user.unwrap_or(limits.max_per_user)) {
            return Err(refusal::too_many_clients_of_user());
        }
        *self.databases.entry(Arc::clone(database)).or_default() += 1;
        *self.users.entry(Arc::clone(user)).or_default() += 1;
        place.counted = Some((Arc::clone(database), Arc::clone(user)));
        Ok(())
    }

    /// Somebody has gone, at whatever stage.
    pub fn leave(&mut self, place: Place) {
        *self.count(place.lane) -= 1;
        if let Some((database, user)) = place.counted {
            take_one(&mut self.databases, &database);
            take_one(&mut self.users, &user);
        }
    }

    /// Clients inside, those on the console and those still logging in included.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.ordinary + self.spare + self.console
    }

    /// How many are here for the databases, those still at the door included.
    #[must_use]
    pub fn total_served(&self) -> u32 {
        self.ordinary
    }

    /// Clients logged in to this entry of `[databases]`.
    #[must_use]
    pub fn of_database(&self, name: &str) -> u32 {
        self.databases.get(name).copied().unwrap_or(0)
    }

    /// Clients logged in as this user.
    #[must_use]
    pub fn of_user(&self, name: &str) -> u32 {
        self.users.get(name).copied().unwrap_or(0)
    }

    fn admit_to_console(&mut self, place: &mut Place) -> Result<(), ErrorResponse> {
        if self.console >= CONSOLE_LANE {
            return Err(refusal::too_many_consoles());
        }
        *self.count(place.lane) -= 1;
        place.lane = Lane::Console;
        self.console += 1;
        Ok(())
    }

    fn count(&mut self, lane: Lane) -> &mut u32 {
        match lane {
            Lane::Ordinary => &mut self.ordinary,
            Lane::Spare => &mut self.spare,
            Lane::Console => &mut self.console,
        }
    }
}

fn is_full(counts: &BTreeMap<Arc<str>, u32>, name: &str, limit: Option<u32>) -> bool {
    limit.is_some_and(|limit| counts.get(name).is_some_and(|count| *count >= limit))
}

fn take_one(counts: &mut BTreeMap<Arc<str>, u32>, name: &Arc<str>) {
    if let Some(count) = counts.get_mut(name) {
        *count -= 1;
        if *count == 0 {
            counts.remove(name);
        }
    }
}

/// Clients on the console at once, and as many who may knock when Howdah is full.
pub const CONSOLE_LANE: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::AdminRole;
    use crate::settings::{Database, User};

    fn settings(max_client_conn: u32) -> Settings {
        let mut settings = Settings::default();
        settings.clients.max_client_conn = max_client_conn;
        settings
    }

    fn who(user: &str, database: &str) -> Identity {
        Identity {
            database: database.into(),
            user: user.into(),
            minor: 0,
            parameters: Vec::new(),
            admin: (database == "pgbouncer").then_some(AdminRole::Stats),
        }
    }

    /// Arrives and logs in; the error's words if that fails, and then leaves.
    fn enter(doors: &mut Admission, settings: &Settings, who: &Identity) -> Result<Place, String> {
        let mut place = doors.arrive(&settings.clients).map_err(|error| error.message)?;
        match doors.admit(settings, &mut place, who) {
            Ok(()) => Ok(place),
            Err(error) => {
                doors.leave(place);
                Err(error.message)
            }
        }
    }

    #[test]
    fn a_full_house_still_has_room_for_the_administrator() {
        let settings = settings(2);
        let mut doors = Admission::default();
        let ann = who("ann", "shop");
        let first = enter(&mut doors, &settings, &ann).unwrap();
        let second = enter(&mut doors, &settings, &ann).unwrap();
        let full = "no more connections allowed (max_client_conn)";
        assert_eq!(enter(&mut doors, &settings, &ann).unwrap_err(), full);
        let console = enter(&mut doors, &settings, &who("root", "pgbouncer")).unwrap();
        assert_eq!(doors.total(), 3);
        doors.leave(first);
        let third = enter(&mut doors, &settings, &ann).unwrap();
        for place in [second, third, console] {
            doors.leave(place);
        }
        assert_eq!((doors.total(), doors.of_database("shop"), doors.of_user("ann")), (0, 0, 0));
    }

    #[test]
    fn an_administrator_who_came_early_does_not_take_a_clients_place() {
        let settings = settings(1);
        let mut doors = Admission::default();
        let _console = enter(&mut doors, &settings, &who("root", "pgbouncer")).unwrap();
        assert!(enter(&mut doors, &settings, &who("ann", "shop")).is_ok());
    }

    #[test]
    fn those_who_only_knock_are_bounded_too() {
        let settings = settings(0);
        let mut doors = Admission::default();
        let knocking: Vec<Place> =
            (0..CONSOLE_LANE).map(|_| doors.arrive(&settings.clients).unwrap()).collect();
        let full = "no more connections allowed (max_client_conn)";
        assert_eq!(doors.arrive(&settings.clients).unwrap_err().message, full);
        for place in knocking {
            doors.leave(place);
        }
        let consoles: Vec<Place> = (0..CONSOLE_LANE)
            .map(|_| enter(&mut doors, &settings, &who("root", "pgbouncer")).unwrap())
            .collect();
        let error = enter(&mut doors, &settings, &who("root", "pgbouncer")).unwrap_err();
        assert_eq!(error, "no more console connections allowed");
        assert_eq!(doors.total() as usize, consoles.len());
    }

    #[test]
    fn databases_and_users_have_limits_of_their_own() {
        let mut settings = settings(100);
        settings.clients.max_per_database = Some(1);
        settings.clients.max_per_user = Some(2);
        let wide = Database { max_db_client_connections: Some(None), ..Database::default() };
        settings.databases.insert("wide".to_owned(), wide);
        let one = User { max_user_client_connections: Some(Some(1)), ..User::default() };
        settings.users.insert("bob".to_owned(), one);

        let mut doors = Admission::default();
        let mut enter = |user, database| enter(&mut doors, &settings, &who(user, database)).map(|_| ());
        let of_database = Err("client connections exceeded (max_db_client_connections)".to_owned());
        let of_user = Err("client connections exceeded (max_user_client_connections)".to_owned());
        assert_eq!(enter("ann", "shop"), Ok(()));
        assert_eq!(enter("cid", "shop"), of_database);
        assert_eq!(enter("ann", "wide"), Ok(()));
        assert_eq!(enter("ann", "wide"), of_user);
        assert_eq!(enter("bob", "wide"), Ok(()));
        assert_eq!(enter("bob", "wide"), of_user);
    }
}
