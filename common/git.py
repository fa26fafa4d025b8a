# SPDX-License-Identifier: GPL-2.0-or-later
"""An environment for git in which it finds the repository that its directory is in, and no other."""

from __future__ import annotations

import os
from collections.abc import Mapping

_OF_A_REPOSITORY = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
"""Those of `git rev-parse --local-env-vars` that are not about its configuration."""


def environment(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`given`, without the variables that name a repository.

    git sets them for the hooks of a repository, and for what `git rebase --exec` runs in a worktree.  They overrule
    `git -C`: the commit of a kernel tree would be that of another repository.
    """
    return {name: value for name, value in given.items() if name not in _OF_A_REPOSITORY}
