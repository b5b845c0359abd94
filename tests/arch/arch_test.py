#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each rule of arch.py finds what it is there for, and nothing in a tree that keeps it."""
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import arch  # noqa: E402

APACHE = "// SPDX-License-Identifier: Apache-2.0\n"


class Rules(unittest.TestCase):
    def problems(self, check, files):
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            return list(arch.CHECKS[check](root))

    def refuses(self, check, files, *words):
        problems = self.problems(check, files)
        self.assertEqual(len(problems), 1, problems)
        for word in words:
            self.assertIn(word, problems[0])

    def accepts(self, check, files):
        self.assertEqual(self.problems(check, files), [])

    def test_includes(self):
        self.refuses("includes", {"agent/plan/a.cc": '#include "agent/load/b.h"\n'}, "plan/ includes load/", ":1:")
        self.refuses("includes", {"agent/plan/a.cc": '#include "tests/support/b.h"\n'}, "test's header")
        self.refuses("includes", {"agent/extra/a.cc": "\n"}, "agent/extra is not a folder")
        self.accepts("includes", {"agent/load/a.cc": '#include "agent/load/b.h"\n#include "agent/plan/b.h"\n'})

    def test_seam(self):
        self.refuses("seam", {"agent/load/a.cc": "\n#include <bpf/libbpf.h>\n"}, "agent/load/a.cc:2")
        self.refuses("seam", {"agent/kernel/a.h": "#include <bpf/bpf.h>\n"}, "agent/kernel/a.h")
        self.accepts("seam", {"agent/kernel/a.cc": "#include <bpf/bpf.h>\n", "agent/load/a.cc": "#include <linux/bpf.h>\n"})

    def test_size(self):
        self.refuses("size", {"agent/base/a.cc": "\n" * 601}, "601 lines")
        self.accepts("size", {"agent/base/a.cc": "\n" * 600, "tests/golden/a.json": "\n" * 900})

    def test_spdx(self):
        self.refuses("spdx", {"agent/base/a.cc": "int x;\n"}, "no SPDX")
        self.refuses("spdx", {"datapath/a.bpf.c": APACHE}, "not GPL-2.0-only OR BSD-2-Clause")
        self.accepts("spdx", {"agent/base/a.cc": APACHE, "a.md": "<!-- SPDX-License-Identifier: Apache-2.0 -->\n",
                              "datapath/a.h": "/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n"})

    def test_docs(self):
        self.refuses("docs", {"README.md": "see [it](deploy/gone.md)\n"}, "deploy/gone.md")
        self.refuses("docs", {"README.md": "run `sudo deploy/gone.sh up`\n"}, "deploy/gone.sh")
        self.refuses("docs", {"README.md": "```\n./tests/gone.sh\n```\n"}, "tests/gone.sh")
        self.accepts("docs", {"README.md": "`tests/*.sh`, [x](https://example.org/y), `ip -6/x`, [here](#there)\n",
                              "tests/run.sh": "\n"})

    def test_layout(self):
        self.refuses("layout", {"scripts/a.sh": "\n"}, "scripts")
        self.accepts("layout", {"tests/a.sh": "\n", "build/x": "\n"})

    def test_words(self):
        self.refuses("words", {"README.md": "\nTO" + "DO: later\n"}, "README.md:2")
        self.accepts("words", {"README.md": "network, homework/main\n"})

    def test_shell(self):
        self.refuses("shell", {"a.sh": "#!/bin/bash\n# SPDX\necho $1\n"}, "SC2086")
        self.accepts("shell", {"a.sh": "#!/bin/bash\necho \"$1\"\n"})


if __name__ == "__main__":
    unittest.main()
