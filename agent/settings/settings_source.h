// SPDX-License-Identifier: Apache-2.0
// Where RawSettings come from: a ConfigMap as a kubelet projects it, a plain directory, or a file.
//
// All of these block on the file system only, hold no state and may be called from any thread.
// A result is one snapshot: never a mixture of two versions of a projected ConfigMap. What cannot
// be read whole is an error, never a smaller set of settings; the caller keeps what it has.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "agent/settings/settings.h"

namespace bonsai::settings {

// One file a key, trailing line ends cut off, names that begin with a dot left out. With a `..data`
// link the files are read through its target, opened once.
// NotFound: no such directory. FailedPrecondition: a plain directory without any file, which is
// how an unmounted or a freshly re-created directory looks. InvalidArgument: something in it is not
// a regular file or is larger than 1 MiB. Unavailable: it kept changing while it was read.
absl::StatusOr<RawSettings> ReadDirectory(const std::string& path);

// A flat YAML mapping: key -> scalar or list of scalars (joined by commas). "{}" for no settings.
// InvalidArgument, one line a problem with the line number: nested values, keys given twice,
// values left out, no YAML, an empty file.
absl::StatusOr<RawSettings> ReadFile(const std::string& path);

// What ReadFile makes of the text of a file; `name` is what errors call it.
absl::StatusOr<RawSettings> ParseYaml(const std::string& name, const std::string& text);

}  // namespace bonsai::settings
