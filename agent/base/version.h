// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace bonsai::base {

inline constexpr char kVersion[] = BONSAI_VERSION;  // of the build, from CMakeLists.txt

}  // namespace bonsai::base
