# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels in folders: where a folder has its image, and where the configuration and the modules of an image are.

These layouts are known, each below any folder:

    boot/vmlinuz-RELEASE   boot/config-RELEASE   lib/modules/RELEASE/     an installed kernel, `make tarxz-pkg`
    usr/lib/modules/RELEASE/{vmlinuz,config}                              the same, as Fedora, openSUSE and Arch do it
    arch/x86/boot/bzImage   .config   modules.order                       what a build leaves (O=)
    vmlinuz   config   lib/modules/RELEASE/                               copied together by somebody
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from common.errors import UsageError
from common.paths import users_path
from common.text import printable

_IMAGES = (
    ("arch/*/boot/bzImage",),
    ("arch/*/boot/Image",),
    ("vmlinuz", "bzImage", "Image"),
    ("vmlinuz-*",),
    ("boot/vmlinuz-*",),
    ("lib/modules/*/vmlinuz", "usr/lib/modules/*/vmlinuz"),
    ("vmlinux",),
)
"""Where a folder may have its image; the first of these places that has one counts."""


def find_image(folder: Path) -> Path | None:
    """The image of the only kernel in a folder, or None if it has none.  UsageError if there are several."""
    for patterns in _IMAGES:
        # A build has arch/x86_64/boot/bzImage as a link, and so has /boot its vmlinuz.
        found = {path.resolve(): path for name in patterns for path in sorted(folder.glob(name)) if path.is_file()}
        if len(found) > 1:
            names = [printable(path.relative_to(folder)) for path in found.values()]
            raise UsageError(
                f"{printable(folder)} has several kernels: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}",
                hint="name one of these files",
            )
        if found:
            return next(iter(found.values()))
    return None


def config_places(image: Path, release: str) -> list[Path]:
    """Where the configuration of an image may be, the likeliest place first."""
    return [place for path in _paths(image) for place in _config_places(path, release)]


def _paths(image: Path) -> list[Path]:
    """The path of an image, and the one that it is a link to: /vmlinuz is boot/vmlinuz-6.12.7."""
    return list(dict.fromkeys((image, image.resolve())))


def _config_places(image: Path, release: str) -> list[Path]:
    name = _as_file_name(release)
    beside = [f"config-{name}", f"{image.name}.config", ".config", "config", "config.gz"]
    if image.name.startswith("vmlinuz-"):
        beside.insert(0, image.name.replace("vmlinuz-", "config-", 1))
    places = [image.with_name(one) for one in beside]
    if (top := _build_folder(image)) is not None:
        places.append(top / ".config")
    for root in _roots(image):
        places.append(root / "boot" / f"config-{name}")
        # The package with the headers has it there; on Arch Linux, no other has it.
        places += [one / inner for one in _installed(root, release) for inner in ("config", "build/.config")]
    return places


def find_modules(image: Path, release: str) -> Path | None:
    """Where the modules of an image are: installed for its release, or in the tree that it was built in."""
    return next((found for path in _paths(image) if (found := _find_modules(path, release))), None)


def _find_modules(image: Path, release: str) -> Path | None:
    top = _build_folder(image)
    if top is not None:
        return top if (top / "modules.order").is_file() else None
    places = [one for root in _roots(image) for one in _installed(root, release)]
    found = next((place for place in places if place.is_dir()), None)
    return found or (image.parent if (image.parent / "modules.order").is_file() else None)


def named_modules(folder: Path, release: str) -> Path:
    """The modules for a release in a folder that the user named.  UsageError if it has none, or another kernel's.

    The folder has modules itself, or has them in lib/modules/RELEASE, or in RELEASE.
    """
    places = [*_installed(folder, release), folder / _as_file_name(release), folder]
    found = next((place for place in places if _has_modules(place)), None)
    others = sorted(path.name for name in ("lib/modules", "usr/lib/modules") for path in folder.glob(f"{name}/*"))
    if folder.parent.name == "modules" and folder.name != release:
        others = [folder.name]
    if found is None or (found == folder and others):
        what = f"of {', '.join(map(printable, others[:4]))}" if others else "with names in .ko"
        raise UsageError(
            f"{printable(folder)} has {'only modules' if others else 'no modules'} {what}, and the kernel is"
            f" {printable(release)}",
            hint="name the folder that `make modules_install` filled, such as /lib/modules/RELEASE",
        )
    return found


def checked_folder(path: Path | None) -> Path | None:
    """The folder with modules that the user named.  UsageError if it is none."""
    if path is None:
        return None
    path = users_path(path)
    if not path.is_dir():
        raise UsageError(
            f"there is no folder {printable(path)} with modules", hint="name one such as /lib/modules/RELEASE"
        )
    return path.absolute()


def _build_folder(image: Path) -> Path | None:
    """The top of the tree, or of the O= folder, whose arch/*/boot/ has the image."""
    is_built = image.parent.name == "boot" and len(image.parents) > 3 and image.parents[2].name == "arch"
    return image.parents[3] if is_built else None


def _roots(image: Path) -> Iterator[Path]:
    """The folders that an image may be installed below."""
    parents = image.parents
    if image.parent.name == "boot":
        yield parents[1]
    elif len(parents) > 3 and (parents[1].name, parents[2].name) == ("modules", "lib"):
        yield parents[3]
        if parents[3].name == "usr":
            yield parents[3].parent
    else:
        yield parents[0]


def _installed(root: Path, release: str) -> list[Path]:
    name = _as_file_name(release)
    return [root / place / name for place in ("lib/modules", "usr/lib/modules", "modules")]


def _as_file_name(release: str) -> str:
    """The release is whatever an image says, and need not be a valid name."""
    name = release.replace("/", "-")
    return name if name.strip(".") else "-"


def _has_modules(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    return (folder / "modules.order").is_file() or any(True for _ in folder.rglob("*.ko*"))
