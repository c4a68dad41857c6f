//! The controls of a V4L2 camera, as the kernel tells them: exposure, gain, power-line frequency...

use std::io;
use std::os::raw::c_char;

use v4l::v4l_sys::{
    V4L2_CTRL_FLAG_DISABLED, V4L2_CTRL_FLAG_GRABBED, V4L2_CTRL_FLAG_INACTIVE, V4L2_CTRL_FLAG_NEXT_CTRL,
    V4L2_CTRL_FLAG_READ_ONLY, V4L2_CTRL_FLAG_WRITE_ONLY, v4l2_control, v4l2_ctrl_type_V4L2_CTRL_TYPE_BOOLEAN,
    v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER, v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU,
    v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU, v4l2_query_ext_ctrl, v4l2_querymenu,
};
use v4l::v4l2::vidioc;

use super::v4l2_device::{ask, text};
use super::v4l2_settings::{Board, Control, Kind};

/// More controls than any camera has: a driver that never ends its list is not followed for ever.
const MAX_CONTROLS: usize = 512;
/// The same for the choices of one control.
const MAX_CHOICES: i64 = 256;

impl Board for v4l::Device {
    fn controls(&self) -> io::Result<Vec<Control>> {
        let mut controls = Vec::new();
        let mut id = 0;
        for _ in 0..MAX_CONTROLS {
            // SAFETY: plain numbers and arrays of bytes, for which all zeros is a value.
            #[expect(unsafe_code, reason = "a C structure is zeroed before the kernel fills it")]
            let mut raw: v4l2_query_ext_ctrl = unsafe { std::mem::zeroed() };
            raw.id = id | V4L2_CTRL_FLAG_NEXT_CTRL;
            // SAFETY: VIDIOC_QUERY_EXT_CTRL reads and fills a `v4l2_query_ext_ctrl`, which holds no pointer.
            #[expect(unsafe_code, reason = "an ioctl of the kernel's video interface")]
            let asked = unsafe { ask(self, vidioc::VIDIOC_QUERY_EXT_CTRL, &mut raw) };
            match asked {
                Ok(()) => id = raw.id,
                // That is how the list ends, and how a camera without controls or a very old driver answers.
                Err(error) if is_end(&error) => break,
                Err(error) => return Err(error),
            }
            if let Some(control) = control(self, &raw) {
                controls.push(control);
            }
        }
        Ok(controls)
    }

    fn set(&self, id: u32, value: i32) -> io::Result<()> {
        let mut raw = v4l2_control { id, value };
        // SAFETY: VIDIOC_S_CTRL reads and fills a `v4l2_control`, which holds no pointer.
        #[expect(unsafe_code, reason = "an ioctl of the kernel's video interface")]
        unsafe {
            ask(self, vidioc::VIDIOC_S_CTRL, &mut raw)
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(errno, Some(rustix::io::Errno::INVAL | rustix::io::Errno::NOTTY))
}

/// `None` for what cannot be set by a number: headings, buttons, texts, tables.
fn control(device: &v4l::Device, raw: &v4l2_query_ext_ctrl) -> Option<Control> {
    #[expect(non_upper_case_globals, reason = "names of the kernel")]
    let kind = match raw.type_ {
        v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER => Kind::Number,
        v4l2_ctrl_type_V4L2_CTRL_TYPE_BOOLEAN => Kind::Switch,
        v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU => Kind::Choice,
        v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU => Kind::Choice,
        _ => return None,
    };
    if raw.flags & V4L2_CTRL_FLAG_DISABLED != 0 {
        return None;
    }
    let choices = if kind == Kind::Choice { choices(device, raw) } else { Vec::new() };
    let can_be_read = raw.flags & V4L2_CTRL_FLAG_WRITE_ONLY == 0;
    Some(Control {
        id: raw.id,
        label: text(&raw.name.map(c_char::to_ne_bytes).concat()),
        kind,
        min: raw.minimum,
        max: raw.maximum,
        step: i64::try_from(raw.step).unwrap_or(1).max(1),
        default: raw.default_value,
        value: if can_be_read { value(device, raw.id).ok().map(i64::from) } else { None },
        choices,
        is_inactive: raw.flags & V4L2_CTRL_FLAG_INACTIVE != 0,
        is_fixed: raw.flags & (V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_GRABBED) != 0,
    })
}

fn value(device: &v4l::Device, id: u32) -> io::Result<i32> {
    let mut raw = v4l2_control { id, value: 0 };
    // SAFETY: VIDIOC_G_CTRL reads and fills a `v4l2_control`, which holds no pointer.
    #[expect(unsafe_code, reason = "an ioctl of the kernel's video interface")]
    unsafe {
        ask(device, vidioc::VIDIOC_G_CTRL, &mut raw)?;
    }
    Ok(raw.value)
}

/// What a menu offers: numbers and names. Drivers leave numbers out that a camera does not have.
fn choices(device: &v4l::Device, control: &v4l2_query_ext_ctrl) -> Vec<(i64, String)> {
    let last = control.maximum.min(control.minimum.saturating_add(MAX_CHOICES));
    let choice = |number: i64| {
        // SAFETY: plain numbers and arrays of bytes, for which all zeros is a value.
        #[expect(unsafe_code, reason = "a C structure is zeroed before the kernel fills it")]
        let mut raw: v4l2_querymenu = unsafe { std::mem::zeroed() };
        raw.id = control.id;
        raw.index = u32::try_from(number).ok()?;
        // SAFETY: VIDIOC_QUERYMENU reads and fills a `v4l2_querymenu`, which holds no pointer.
        #[expect(unsafe_code, reason = "an ioctl of the kernel's video interface")]
        let asked = unsafe { ask(device, vidioc::VIDIOC_QUERYMENU, &mut raw) };
        asked.ok()?;
        let answer = raw.__bindgen_anon_1;
        // SAFETY: all of the union was zeroed before it was filled, and its members are plain bytes and a number.
        #[expect(unsafe_code, reason = "a union that the kernel fills")]
        let name = unsafe { answer.name };
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "a union that the kernel fills")]
        let value = unsafe { answer.value };
        let has_numbers = control.type_ == v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU;
        Some((number, if has_numbers { value.to_string() } else { text(&name) }))
    };
    (control.minimum..=last).filter_map(choice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_camera_has_no_controls() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let device = crate::camera::v4l2_device::open(file.path()).unwrap();
        assert_eq!(device.controls().unwrap(), []);
        assert_eq!(
            device.set(1, 1).unwrap_err().raw_os_error(),
            Some(rustix::io::Errno::NOTTY.raw_os_error())
        );
    }
}
