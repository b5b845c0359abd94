// SPDX-License-Identifier: Apache-2.0
// The first process of a booted kernel: runs each line of /commands, says how it ended, and turns
// the machine off. Statically linked.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

void Mount(const char* type, const char* where) {
  mkdir(where, 0755);
  if (mount(type, where, type, 0, nullptr) != 0) std::perror(where);
}

int Run(const std::string& line) {
  std::vector<std::string> words;
  std::istringstream in(line);
  for (std::string word; in >> word;) words.push_back(word);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    execv(argv[0], argv.data());
    std::perror(argv[0]);
    _exit(127);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

int main() {
  Mount("devtmpfs", "/dev");
  const int console = open("/dev/ttyS0", O_RDWR | O_NOCTTY);
  if (console >= 0) {
    for (int fd : {0, 1, 2}) dup2(console, fd);
  }
  Mount("proc", "/proc");
  Mount("sysfs", "/sys");
  Mount("bpf", "/sys/fs/bpf");
  // On the root itself, which is memory too: the programs may have been built below it.
  mkdir("/tmp", 01777);
  utsname name = {};
  uname(&name);
  std::printf("\nKERNEL %s\n", name.release);
  std::ifstream commands("/commands");
  for (std::string line; std::getline(commands, line);) {
    std::fflush(stdout);
    const int code = Run(line);
    std::printf("\nEXIT %d %s\n", code, line.c_str());
  }
  std::printf("DONE\n");
  std::fflush(stdout);
  if (console >= 0) fsync(console);
  sleep(1);  // the last bytes leave the serial line
  reboot(RB_POWER_OFF);
  return 1;
}
