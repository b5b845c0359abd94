// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/cli/spawn.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace bonsai::testing {

pid_t SpawnAgentctl(std::vector<std::string> words, const std::string& directory) {
  const std::string binary = std::string(BONSAI_BIN_DIR) + "/agentctl";
  words.insert(words.begin(), "agentctl");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  const int flags = O_WRONLY | O_CREAT | O_TRUNC;
  const std::string out = directory + "/out", err = directory + "/err";
  ::posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), flags, 0600);
  ::posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), flags, 0600);
  pid_t pid = -1;
  EXPECT_EQ(::posix_spawn(&pid, binary.c_str(), &actions, nullptr, argv.data(), environ), 0);
  ::posix_spawn_file_actions_destroy(&actions);
  return pid;
}

Outcome CollectAgentctl(pid_t pid, const std::string& directory) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return {code, ReadAll(directory + "/out"), ReadAll(directory + "/err")};
}

std::string ReadAll(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace bonsai::testing
