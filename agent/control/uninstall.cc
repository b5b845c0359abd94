// SPDX-License-Identifier: Apache-2.0
#include "agent/control/uninstall.h"

#include "agent/attach/attached.h"
#include "agent/base/status.h"
#include "agent/kernel/bpffs.h"
#include "agent/load/pins.h"
#include "agent/report/socket_guard.h"

namespace bonsai::control {
namespace {

void Append(const std::vector<std::string>& from, std::vector<std::string>& to) {
  to.insert(to.end(), from.begin(), from.end());
}

absl::Status WithAdvice(const absl::Status& status) {
  const absl::Status told = base::Annotate(status, "uninstalling");
  if (absl::IsPermissionDenied(status)) {
    return absl::PermissionDeniedError(
        base::Message(told) + "; become root, or have the capabilities BPF and NET_ADMIN");
  }
  return told;
}

// Its directory is there and locked.
absl::Status TakeDown(const UninstallOptions& options, Uninstalled& result) {
  const std::string& root = options.bpf_root;
  ASSIGN_OR_RETURN(const auto attached, attach::Inventory(root));
  ASSIGN_OR_RETURN(const auto pins, load::Inventory(root));
  Append(attached, result.removed);
  Append(pins, result.removed);
  if (options.dry_run) return absl::OkStatus();
  RETURN_IF_ERROR(attach::RemoveAll(root));
  RETURN_IF_ERROR(load::RemovePins(root));
  ASSIGN_OR_RETURN(const auto rest, kernel::ListPins(root));
  for (const std::string& name : rest) result.left.push_back(root + "/" + name);
  return absl::OkStatus();
}

absl::StatusOr<Uninstalled> Run(const UninstallOptions& options) {
  Uninstalled result;
  // Both claims before the first change, and held to the end.
  ASSIGN_OR_RETURN(report::SocketRemains socket, report::SocketRemains::Claim(options.socket));
  const absl::StatusOr<base::UniqueFd> lock = kernel::LockExistingPinDir(options.bpf_root);
  if (lock.ok()) {
    RETURN_IF_ERROR(TakeDown(options, result));
    if (result.left.empty()) result.removed.push_back("directory " + options.bpf_root);
  } else if (!absl::IsNotFound(lock.status())) {
    return lock.status();
  }
  for (const std::string& file : socket.files()) result.removed.push_back("file " + file);
  if (!options.dry_run) RETURN_IF_ERROR(socket.Remove());
  return result;
}

}  // namespace

absl::StatusOr<Uninstalled> Uninstall(const UninstallOptions& options) {
  absl::StatusOr<Uninstalled> result = Run(options);
  if (!result.ok()) return WithAdvice(result.status());
  return result;
}

std::string ToText(const Uninstalled& result, bool dry_run) {
  std::string text;
  for (const std::string& line : result.removed) {
    text += fmt::format("{} {}\n", dry_run ? "would remove" : "removed", line);
  }
  for (const std::string& path : result.left) text += fmt::format("left {}: not ours\n", path);
  return text.empty() ? "nothing to remove\n" : text;
}

}  // namespace bonsai::control
