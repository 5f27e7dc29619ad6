use chrono::{DateTime, Datelike, FixedOffset, NaiveDateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;

use super::{Call, Form, Native};
use crate::cel::error::ErrorKind;
use crate::cel::eval::Outcome;
use crate::cel::value::Val;

/// Parts of a time, in UTC or in the zone that the argument names, and of a duration.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    if form != Form::Method || !matches!(args, 1 | 2) {
        return None;
    }
    Some(match name {
        "getFullYear" => |call, args| part(call, args, |at| i64::from(at.year()), None),
        "getMonth" => |call, args| part(call, args, |at| i64::from(at.month0()), None),
        "getDate" => |call, args| part(call, args, |at| i64::from(at.day()), None),
        "getDayOfMonth" => |call, args| part(call, args, |at| i64::from(at.day0()), None),
        "getDayOfYear" => |call, args| part(call, args, |at| i64::from(at.ordinal0()), None),
        "getDayOfWeek" => |call, args| part(call, args, |at| i64::from(at.weekday().num_days_from_sunday()), None),
        "getHours" => |call, args| part(call, args, |at| i64::from(at.hour()), Some(TimeDelta::num_hours)),
        "getMinutes" => |call, args| part(call, args, |at| i64::from(at.minute()), Some(TimeDelta::num_minutes)),
        "getSeconds" => |call, args| part(call, args, |at| i64::from(at.second()), Some(TimeDelta::num_seconds)),
        "getMilliseconds" => |call, args| {
            let millis = |at: &NaiveDateTime| i64::from(at.nanosecond() / 1_000_000);
            part(call, args, millis, Some(TimeDelta::num_milliseconds))
        },
        _ => return None,
    })
}

fn part<'a>(
    call: &Call<'_, 'a>,
    args: &[Val<'a>],
    of_time: impl Fn(&NaiveDateTime) -> i64,
    of_duration: Option<fn(&TimeDelta) -> i64>,
) -> Outcome<'a> {
    match (args, of_duration) {
        ([Val::Timestamp(at)], _) => Ok(Val::Int(of_time(&at.naive_utc()))),
        ([Val::Timestamp(at), Val::Str(zone)], _) => match local(*at, zone.as_str()) {
            Some(at) => Ok(Val::Int(of_time(&at))),
            None => Err(call.fail(ErrorKind::Conversion)),
        },
        ([Val::Duration(duration)], Some(of_duration)) => Ok(Val::Int(of_duration(duration))),
        _ => Err(call.no_overload()),
    }
}

/// The time on the clocks of a zone: a name such as `Europe/Berlin`, or an offset such as `-03:30`.
fn local(at: DateTime<Utc>, zone: &str) -> Option<NaiveDateTime> {
    let Some((hours, minutes)) = zone.split_once(':') else {
        return zone.parse::<Tz>().ok().map(|zone| at.with_timezone(&zone).naive_local());
    };
    let (sign, hours) = match hours.strip_prefix('-') {
        Some(hours) => (-1, hours),
        None => (1, hours.strip_prefix('+').unwrap_or(hours)),
    };
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let offset = FixedOffset::east_opt(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60))?;
    Some(at.with_timezone(&offset).naive_local())
}
