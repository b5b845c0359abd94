// SPDX-License-Identifier: Apache-2.0
// nginx in a namespace on ports 8080 and 8081 of both families: /page, /moved (301), /chunked (with
// --compressed), /upload (204, keeps the body), /NAME of MakeFile, and 404 for all else.
#pragma once

#include <filesystem>
#include <string>

#include "tests/support/netns.h"

namespace bonsai::testing {

class Nginx {
 public:
  // Its files go below `directory`, which is the caller's to remove.
  Nginx(const Netns& ns, const std::filesystem::path& directory);
  ~Nginx();
  Nginx(const Nginx&) = delete;
  Nginx& operator=(const Nginx&) = delete;

  // A file of random bytes; its SHA-256.
  std::string MakeFile(const std::string& name, int mebibytes);
  // SHA-256 of the one body that /upload got since the last call; "" unless it is one.
  std::string TakeUploadSum();

 private:
  const Netns& ns_;
  std::filesystem::path directory_;
};

std::string Sha256(const std::string& path);

}  // namespace bonsai::testing
