#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the source tree, each a function that yields problems: arch.py CHECK [ROOT]."""
import glob
import os
import re
import shutil
import subprocess
import sys

FOLDERS = ("base kernel settings object constants reachability plan load attach tables kube report "
           "control cli main").split()
TOP = ("CMakeLists.txt CMakePresets.json README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md Dockerfile "
       "LICENSE .gitignore .dockerignore .clang-format .clang-tidy .ci proto datapath agent deploy charts "
       "tests").split()
MAX_LINES = 600
CODE = (".h", ".cc", ".c", ".py", ".sh", ".proto", ".cmake", ".inc")
COMMENTED = CODE + (".md", ".yaml", ".yml", ".tpl")
SPECIAL = ("Dockerfile", ".ci/run", ".dockerignore")
DATA = re.compile(r"^tests/(golden|fuzz)/.*\.(json|yaml|yml|bin|corpus)$|^build")
# Spelled in halves, so that this file is no finding of its own.
WORDS = [r"/wo" r"rk/(main|shared)\b", r"/ho" r"me/\w+/", r"\bTO" r"DO\b", r"\bFIX" r"ME\b", r"\bX" r"XX\b",
         r"\bsnapshot\.deb" r"ian\b", r"\bCla" r"ude\b", r"\bChat" r"GPT\b"]


def walk(root):
    """Every file of the tree as a path relative to it; neither builds nor git's own."""
    for directory, folders, files in os.walk(root):
        inside = os.path.relpath(directory, root)
        folders[:] = sorted(f for f in folders if f not in (".git", "__pycache__") and not (
            inside == "." and f.startswith("build")))
        for name in sorted(files):
            yield os.path.normpath(os.path.join(inside, name))


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def check_includes(root):
    """A folder of agent/ includes only itself and folders named before it; tests are included by tests."""
    for path in walk(root):
        parts = path.split(os.sep)
        if parts[0] != "agent" or not path.endswith((".h", ".cc")):
            continue
        if parts[1] not in FOLDERS:
            yield f"{path}: agent/{parts[1]} is not a folder of the design"
            continue
        for number, line in enumerate(read(root, path).splitlines(), 1):
            found = re.match(r'\s*#\s*include\s+"(agent/([^/"]+)/|tests/)', line)
            if not found:
                continue
            target = found.group(2)
            if target is None:
                yield f"{path}:{number}: the agent includes a test's header"
            elif target not in FOLDERS or FOLDERS.index(target) > FOLDERS.index(parts[1]):
                yield f"{path}:{number}: {parts[1]}/ includes {target}/, which stands above it"


def check_seam(root):
    """libbpf is driven from agent/kernel/*.cc alone; tests may look at the kernel with it, too."""
    for path in walk(root):
        if not path.endswith((".h", ".cc")) or path.startswith(("tests/", "datapath/")):
            continue
        if re.fullmatch(r"agent/kernel/[^/]+\.cc", path):
            continue
        for number, line in enumerate(read(root, path).splitlines(), 1):
            if re.match(r"\s*#\s*include\s+[<\"]bpf/(lib)?(bpf|btf)\.h", line):
                yield f"{path}:{number}: libbpf is included outside agent/kernel/*.cc"


def check_size(root):
    for path in walk(root):
        if path.endswith(CODE) and not DATA.match(path):
            lines = read(root, path).count("\n")
            if lines > MAX_LINES:
                yield f"{path}: {lines} lines, more than {MAX_LINES}"


def check_spdx(root):
    """Each file says its licence near its top; what goes into the kernel has its own."""
    for path in walk(root):
        if DATA.match(path) or not (path.endswith(COMMENTED) or path in SPECIAL
                                    or os.path.basename(path) == "CMakeLists.txt"):
            continue
        head = "\n".join(read(root, path).splitlines()[:3])
        found = re.search(r"SPDX-License-Identifier: (.*?)\s*(\*/|-->|}}|$)", head, re.M)
        wanted = ["GPL-2.0-only OR BSD-2-Clause" if path.startswith("datapath/") else "Apache-2.0"]
        if path.startswith("tests/") and path.endswith((".bpf.c", ".bpf.h")):
            wanted.append("GPL-2.0-only OR BSD-2-Clause")
        if not found:
            yield f"{path}: no SPDX-License-Identifier in the first three lines"
        elif found.group(1) not in wanted:
            yield f"{path}: licence is {found.group(1)}, not {wanted[-1]}"


def named_paths(text):
    """Paths a page names: relative links, words in backticks, words of code blocks."""
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not re.match(r"[a-z]+:", link):
            yield link, True
    for code in re.findall(r"^```.*?^```", text, re.M | re.S) + re.findall(r"`([^`\n]+)`", text):
        for word in re.findall(r"[\w.*/@-]+", code):
            yield word.rstrip(".").removeprefix("./"), False


def check_docs(root):
    """A page names only paths that exist."""
    for path in walk(root):
        if not path.endswith(".md"):
            continue
        here = os.path.join(root, os.path.dirname(path))
        for name, is_link in named_paths(read(root, path)):
            top = name.split("/")[0]
            if not is_link and (top not in TOP or ("/" not in name and "." not in name)):
                continue
            if not glob.glob(os.path.join(root, name)) and not glob.glob(os.path.join(here, name)):
                yield f"{path}: names {name}, which does not exist"


def check_layout(root):
    """The top level is fixed."""
    for name in sorted(os.listdir(root)):
        if name != ".git" and name not in TOP and not name.startswith("build"):
            yield f"{name}: not in the layout of the top level"


def check_words(root):
    for path in walk(root):
        text = read(root, path)
        for pattern in WORDS:
            for found in re.finditer(pattern, text):
                line = text.count("\n", 0, found.start()) + 1
                yield f"{path}:{line}: \"{found.group(0)}\" has no place in the tree"


def check_shell(root):
    """shellcheck has nothing to say about any script."""
    if not shutil.which("shellcheck"):
        yield "shellcheck is not installed: deploy/install-deps.sh test"
        return
    scripts = [p for p in walk(root) if p.endswith(".sh") or p == ".ci/run"]
    result = subprocess.run(["shellcheck", "-x", "-f", "gcc", *scripts], cwd=root, text=True,
                            capture_output=True, check=False)
    yield from (result.stdout + result.stderr).splitlines()


CHECKS = {name.removeprefix("check_"): function for name, function in list(globals().items())
          if name.startswith("check_")}


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in CHECKS:
        sys.exit(f"usage: arch.py {'|'.join(CHECKS)} [ROOT]")
    root = sys.argv[2] if len(sys.argv) == 3 else os.path.join(os.path.dirname(__file__), "..", "..")
    problems = list(CHECKS[sys.argv[1]](root))
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
