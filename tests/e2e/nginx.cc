// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/nginx.h"

#include <gtest/gtest.h>

#include <fstream>
#include <vector>

namespace bonsai::testing {
namespace {

namespace fs = std::filesystem;

std::string Configuration(const fs::path& root) {
  const std::string at = root.string();
  return "user root; worker_processes 1; pid " + at + "/pid; error_log " + at + "/error.log;\n" +
         "events {}\nhttp {\n access_log off; client_max_body_size 0;\n" +
         " client_body_temp_path " + at + "/bodies; proxy_temp_path " + at + "/proxy;\n" +
         " fastcgi_temp_path " + at + "/fastcgi; uwsgi_temp_path " + at + "/uwsgi;\n" +
         " scgi_temp_path " + at + "/scgi;\n" +
         " server {\n  listen 8080; listen [::]:8080; listen 8081; listen [::]:8081;\n  root " + at +
         "/www; default_type text/plain;\n" +
         "  location = /moved { return 301 /page; }\n" +
         "  location = /chunked { gzip on; gzip_types text/plain; gzip_min_length 0;\n" +
         "   try_files /page =404; }\n" +
         "  location = /upload { client_body_in_file_only on;\n   proxy_pass http://127.0.0.1:9099; }\n }\n" +
         " server { listen 127.0.0.1:9099; location / { return 204; } }\n}\n";
}

}  // namespace

std::string Sha256(const std::string& path) {
  return Shell("sha256sum < " + path + " | cut -d' ' -f1 | tr -d '\\n'").output;
}

Nginx::Nginx(const Netns& ns, const fs::path& directory) : ns_(ns), directory_(directory / "nginx") {
  fs::create_directories(directory_ / "www");
  fs::create_directories(directory_ / "bodies");
  std::ofstream(directory_ / "www" / "page") << std::string(3000, 'p') << "\n";
  std::ofstream(directory_ / "nginx.conf") << Configuration(directory_);
  ns_.MustExec("nginx -c " + (directory_ / "nginx.conf").string() + " -e " +
               (directory_ / "error.log").string());
}

Nginx::~Nginx() {
  const std::string pid = (directory_ / "pid").string();
  Shell("test -s " + pid + " && pid=$(cat " + pid + ") && kill $pid && "
        "for i in $(seq 100); do kill -0 $pid 2> /dev/null || break; sleep 0.05; done");
}

std::string Nginx::MakeFile(const std::string& name, int mebibytes) {
  const std::string path = directory_ / "www" / name;
  MustRun("head -c " + std::to_string(mebibytes) + "M /dev/urandom > " + path);
  return Sha256(path);
}

std::string Nginx::TakeUploadSum() {
  std::vector<fs::path> bodies;
  for (const auto& entry : fs::recursive_directory_iterator(directory_ / "bodies")) {
    if (entry.is_regular_file()) bodies.push_back(entry.path());
  }
  const std::string sum = bodies.size() == 1 ? Sha256(bodies.front()) : "";
  for (const fs::path& body : bodies) fs::remove(body);
  return sum;
}

}  // namespace bonsai::testing
