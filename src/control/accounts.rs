//! Users and groups by the system's own lists. Accounts from elsewhere (a directory service, systemd) are known by their
//! numbers alone.

use std::fs;
use std::io;

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The number of a user, by number or name; `None` if there is none of that name.
pub(super) fn user_id(user: &str) -> io::Result<Option<u32>> {
    match user.parse() {
        Ok(id) => Ok(Some(id)),
        Err(_) => Ok(find_user(&fs::read_to_string(USERS)?, user)),
    }
}

/// What a user is called; `None` if that is not known.
pub(super) fn user_name(id: u32) -> Option<String> {
    find_name(&fs::read_to_string(USERS).ok()?, id)
}

/// Whether a user is among the members of a group.
pub(super) fn is_member(user: &str, group: u32) -> bool {
    fs::read_to_string(GROUPS).is_ok_and(|list| lists_member(&list, user, group))
}

fn find_user(list: &str, user: &str) -> Option<u32> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

fn find_name(list: &str, id: u32) -> Option<String> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

fn lists_member(list: &str, user: &str, group: u32) -> bool {
    list.lines().any(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        matches!(fields[..], [_, _, id, members]
            if id.parse() == Ok(group) && members.split(',').any(|member| member.trim() == user))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_both_ways() {
        let list = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:100::/home/ada:/bin/sh\nodd\n:x:7:7:::\nodder:x:many:1\n";
        assert_eq!((find_user(list, "ada"), find_name(list, 1000).as_deref()), (Some(1000), Some("ada")));
        assert_eq!(find_name(list, 0).as_deref(), Some("root"));
        for none in ["ad", "odd", "odder", ""] {
            assert_eq!(find_user(list, none).filter(|_| !none.is_empty()), None, "{none}");
        }
        assert_eq!(find_name(list, 7), None, "an account without a name has none");
        assert_eq!(user_id("4711").unwrap(), Some(4711));
        assert_eq!(user_id("no such user").unwrap(), None);
    }

    #[test]
    fn members_are_found() {
        let list = "root:x:0:\nwheel:x:10:ada,bert\nodd:x:10\nodder:x:11:\n";
        assert!(lists_member(list, "ada", 10) && lists_member(list, "bert", 10));
        for (user, group) in [("ad", 10), ("ada", 11), ("ada", 0), ("", 10)] {
            assert!(!lists_member(list, user, group), "{user} {group}");
        }
    }
}
