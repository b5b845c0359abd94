// SPDX-License-Identifier: Apache-2.0
// What is measured of one object. Times are CPU time of the calling thread, which a verifier's work
// in a system call is part of: other load of the machine hardly moves them.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/constants/constant_set.h"
#include "agent/object/object_spec.h"

namespace bonsai::bench {

// Values of the object's constants: as compiled, or with every bool on or off.
enum class Switches { kDefault, kOn, kOff };

struct Subject {
  std::string path;
  std::vector<uint8_t> bytes;
  object::ObjectSpec object;
  size_t slots = 0;  // of all functions
};

absl::StatusOr<Subject> ReadSubject(const std::string& path);
constants::ConstantSet ConstantsFor(const object::ObjectSpec& object, Switches switches);

struct Seconds {
  double wall = 0;  // until it was done
  double cpu = 0;   // of all threads
};

// From the file's bytes in memory to the verdict; fails when the object cannot be analysed.
absl::StatusOr<Seconds> VerdictSeconds(const Subject& subject, Switches switches);

// The same in a process of its own: by how many bytes that grew at most, and the file's own.
absl::StatusOr<size_t> VerdictPeakBytes(const Subject& subject, Switches switches);

// Wall time of reading alone.
absl::StatusOr<double> ReadSeconds(const Subject& subject);

// Wall time of libbpf's bpf_object__load of all programs and maps, the maps at their smallest. Needs
// root.
absl::StatusOr<double> KernelLoadSeconds(const Subject& subject, Switches switches);

}  // namespace bonsai::bench
