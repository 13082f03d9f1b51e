//! PostgreSQL's own functions and views that do something to a session, by name.

use super::signs::Sign;

/// What the use of a name does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// This.
    Does(Sign),
    /// It is `set_config`, whose arguments tell.
    SetConfig,
    /// It changes one setting.
    Sets(&'static str),
    /// It is `pg_settings`, the rule of which calls `set_config` on UPDATE.
    SettingsView,
}

/// What the use of this name does, if anything. For most words that is answered by their first letter and length.
#[inline]
pub(super) fn use_of(name: &[u8]) -> Option<Use> {
    let first = usize::from(name.first()? & 31);
    let lengths = LENGTHS.get(first)?;
    if lengths >> name.len().min(63) & 1 == 0 { None } else { find(name) }
}

fn find(name: &[u8]) -> Option<Use> {
    if name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"pg_temp")) {
        return matches!(name.get(7), None | Some(b'_')).then_some(Use::Does(Sign::Temp));
    }
    USES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(_, does)| *does)
}

/// For each first letter, by its five lowest bits, the lengths names have.
const LENGTHS: [u64; 32] = {
    let mut lengths = [0; 32];
    let mut rest = USES;
    while let [(name, _), after @ ..] = rest {
        add(&mut lengths, name.as_bytes());
        rest = after;
    }
    // pg_temp with a number.
    let mut rest: &[&str] =
        &["pg_temp", "pg_temp_1", "pg_temp_12", "pg_temp_123", "pg_temp_1234", "pg_temp_12345"];
    while let [name, after @ ..] = rest {
        add(&mut lengths, name.as_bytes());
        rest = after;
    }
    lengths
};

const fn add(lengths: &mut [u64; 32], name: &[u8]) {
    if let [first, ..] = name
        && let Some((_, [lengths, ..])) = lengths.split_at_mut_checked((*first & 31) as usize)
    {
        *lengths |= 1 << name.len();
    }
}

const USES: &[(&str, Use)] = &[
    ("set_config", Use::SetConfig),
    ("set_limit", Use::Sets("pg_trgm.similarity_threshold")),
    ("pg_settings", Use::SettingsView),
    ("nextval", Use::Does(Sign::NextVal)),
    ("setval", Use::Does(Sign::NextVal)),
    ("currval", Use::Does(Sign::CurrVal)),
    ("lastval", Use::Does(Sign::CurrVal)),
    ("setseed", Use::Does(Sign::Seed)),
    ("pg_notify", Use::Does(Sign::Notify)),
    ("pg_advisory_lock", Use::Does(Sign::Lock)),
    ("pg_advisory_lock_shared", Use::Does(Sign::Lock)),
    ("pg_try_advisory_lock", Use::Does(Sign::Lock)),
    ("pg_try_advisory_lock_shared", Use::Does(Sign::Lock)),
    ("pg_advisory_unlock", Use::Does(Sign::Unlock)),
    ("pg_advisory_unlock_shared", Use::Does(Sign::Unlock)),
    ("pg_advisory_unlock_all", Use::Does(Sign::Unlock)),
    ("pg_prepared_statements", Use::Does(Sign::PreparedView)),
    ("pg_prepared_statement", Use::Does(Sign::PreparedView)),
    ("pg_create_logical_replication_slot", Use::Does(Sign::Slot)),
    ("pg_create_physical_replication_slot", Use::Does(Sign::Slot)),
    ("pg_copy_logical_replication_slot", Use::Does(Sign::Slot)),
    ("pg_copy_physical_replication_slot", Use::Does(Sign::Slot)),
    ("pg_replication_origin_session_setup", Use::Does(Sign::Load)),
    ("pg_backup_start", Use::Does(Sign::Load)),
    ("pg_start_backup", Use::Does(Sign::Load)),
    ("query_to_xml", Use::Does(Sign::Opaque)),
    ("query_to_xmlschema", Use::Does(Sign::Opaque)),
    ("query_to_xml_and_xmlschema", Use::Does(Sign::Opaque)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_found_in_any_case_and_only_as_a_whole() {
        for (name, does) in USES {
            assert_eq!(use_of(name.as_bytes()), Some(*does), "{name}");
            assert_eq!(use_of(name.to_uppercase().as_bytes()), Some(*does), "{name}");
            for other in [format!("{name}x"), format!("x{name}"), name[1..].to_owned()] {
                assert_eq!(use_of(other.as_bytes()), None, "{other}");
            }
        }
    }

    #[test]
    fn the_schema_of_temporary_things_may_have_a_number() {
        for (name, is_temp) in [
            ("pg_temp", true),
            ("PG_temp_3", true),
            ("pg_temp_12345", true),
            ("pg_tempo", false),
            ("pg_temps_1", false),
        ] {
            assert_eq!(use_of(name.as_bytes()), is_temp.then_some(Use::Does(Sign::Temp)), "{name}");
        }
    }
}
