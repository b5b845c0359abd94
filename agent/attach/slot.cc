// SPDX-License-Identifier: Apache-2.0
// Pins: <root>/links/<hook>-<ifindex> is the link. A clsact filter has nothing to pin, so for one
// that is a directory, and <root>/links/qdisc-<ifindex> marks a qdisc that we made. A filter is
// ours if it stands in our place and runs a program pinned below <root>/progs.
#include "agent/attach/slot.h"

#include <charconv>
#include <utility>

#include "agent/base/status.h"
#include "agent/kernel/bpf_program.h"
#include "agent/kernel/bpffs.h"

namespace bonsai::attach {
namespace {

// Our place in a clsact qdisc. Other agents take low or automatic (49152 and up) priorities.
constexpr uint32_t kPriority = 176;
constexpr uint32_t kFirstHandle = 0xb0500;

std::string LinkPath(const std::string& root, const std::string& pin) {
  return root + "/links/" + pin;
}

std::string QdiscMark(const std::string& root, uint32_t ifindex) {
  return LinkPath(root, fmt::format("qdisc-{}", ifindex));
}

absl::StatusOr<std::pair<kernel::BpfLink, Mechanism>> AttachXdp(const Options& options, int fd,
                                                                uint32_t ifindex) {
  absl::Status native = absl::OkStatus();
  if (options.use_native_xdp) {
    auto link = kernel::BpfLink::AttachXdp(fd, ifindex, kernel::XdpMode::kNative);
    if (link.ok()) return std::make_pair(*std::move(link), Mechanism::kXdpNative);
    if (!absl::IsFailedPrecondition(link.status())) return link.status();
    native = link.status();
  }
  auto link = kernel::BpfLink::AttachXdp(fd, ifindex, kernel::XdpMode::kGeneric);
  if (link.ok()) return std::make_pair(*std::move(link), Mechanism::kXdpGeneric);
  return native.ok() ? link.status()
                     : base::Annotate(link.status(), base::Message(native) + "; and then");
}

absl::StatusOr<std::pair<kernel::BpfLink, Mechanism>> AttachLink(const Options& options,
                                                                 const Target& target, int fd) {
  if (target.hook == HOOK_XDP) return AttachXdp(options, fd, target.ifindex);
  ASSIGN_OR_RETURN(kernel::BpfLink link,
                   kernel::BpfLink::AttachTcx(fd, target.ifindex, DirectionOf(target.hook)));
  return std::make_pair(std::move(link), Mechanism::kTcx);
}

bool KindFits(kernel::LinkKind kind, Hook hook) {
  if (hook == HOOK_XDP) return kind == kernel::LinkKind::kXdp;
  return kind == (hook == HOOK_TO_POD ? kernel::LinkKind::kTcxEgress
                                      : kernel::LinkKind::kTcxIngress);
}

ProgramRef Find(const ProgramsById& ours, uint32_t id) {
  auto at = ours.find(id);
  if (at != ours.end()) return at->second;
  // Known by its link, but its pin is gone: it can still be opened where that is permitted.
  base::UniqueFd held;
  if (auto fd = kernel::OpenProgramById(id); fd.ok()) held = *std::move(fd);
  return std::make_shared<const HeldProgram>(std::move(held), id);
}

}  // namespace

std::string Slot::PinPath() const {
  return LinkPath(root_, NumberedPin(target_.hook, target_.ifindex));
}

kernel::ClsactSlot Slot::Filter() const {
  return {.ifindex = target_.ifindex,
          .direction = DirectionOf(target_.hook),
          .priority = kPriority,
          .handle = kFirstHandle + static_cast<uint32_t>(target_.hook)};
}

absl::StatusOr<Slot> Slot::Create(const Options& options, const Target& target,
                                  const ProgramRef& program, const ProgramsById& ours) {
  Slot slot(options, target, Mechanism::kClsact, program);
  RETURN_IF_ERROR(kernel::MakePinDir(options.root + "/links"));
  // What is there under our name was not adopted, so it is dead.
  RETURN_IF_ERROR(kernel::IsPinDir(slot.PinPath()) ? kernel::RemovePinDir(slot.PinPath())
                                                   : kernel::RemovePin(slot.PinPath()));
  if (target.hook != HOOK_XDP && !options.use_tcx) {
    RETURN_IF_ERROR(slot.AttachClsact(ours));
    return slot;
  }
  ASSIGN_OR_RETURN(auto attached, AttachLink(options, target, program->fd.get()));
  RETURN_IF_ERROR(attached.first.Pin(slot.PinPath()));
  slot.link_ = std::move(attached.first);
  slot.mechanism_ = attached.second;
  return slot;
}

// Marks come before what they mark: a mark without a filter is dead and swept, a filter without a
// mark would stay for ever.
absl::Status Slot::AttachClsact(const ProgramsById& ours) {
  RETURN_IF_ERROR(kernel::MakePinDir(PinPath()));
  absl::Status status = TakeClsactPlace(ours);
  if (status.ok()) return status;
  kernel::RemovePinDir(PinPath()).IgnoreError();
  RemoveOwnQdisc().IgnoreError();  // the place was not ours, or the device is gone
  return status;
}

absl::Status Slot::TakeClsactPlace(const ProgramsById& ours) {
  // The mark stands before the qdisc, so that none is forgotten; taken back when it is not ours.
  const std::string mark = QdiscMark(root_, target_.ifindex);
  const bool marked = kernel::IsPinDir(mark);
  RETURN_IF_ERROR(kernel::MakePinDir(mark));
  absl::StatusOr<bool> made = kernel::EnsureClsact(target_.ifindex);
  if (!marked && (!made.ok() || !*made)) RETURN_IF_ERROR(kernel::RemovePinDir(mark));
  RETURN_IF_ERROR(made.status());
  auto present = kernel::QueryClsact(Filter());
  if (absl::IsNotFound(present.status())) {
    return kernel::AttachClsact(Filter(), program_->fd.get(), false);
  }
  RETURN_IF_ERROR(present.status());
  if (ours.contains(*present)) return kernel::AttachClsact(Filter(), program_->fd.get(), true);
  return absl::AlreadyExistsError(
      fmt::format("program {} stands at tc priority {}, handle {:#x}, and is not ours; it is left "
                  "alone",
                  *present, kPriority, Filter().handle));
}

// Unless someone else's filters moved in.
absl::Status Slot::RemoveOwnQdisc() {
  std::string mark = QdiscMark(root_, target_.ifindex);
  if (!kernel::IsPinDir(mark)) return absl::OkStatus();
  ASSIGN_OR_RETURN(bool gone, kernel::RemoveClsactIfEmpty(target_.ifindex));
  return gone ? kernel::RemovePinDir(mark) : absl::OkStatus();
}

absl::StatusOr<std::optional<Slot>> Slot::Adopt(const Options& options, const std::string& pin,
                                                const ProgramsById& ours) {
  std::optional<HookNumber> name = ParseNumberedPin(pin);
  std::string path = LinkPath(options.root, pin);
  if (!name) return std::optional<Slot>();
  Target target{kernel::DeviceName(name->number), name->number, name->hook};
  Slot slot(options, target, Mechanism::kClsact, nullptr);
  if (kernel::IsPinDir(path)) {
    auto present = kernel::QueryClsact(slot.Filter());
    if (!present.ok() && !absl::IsNotFound(present.status())) return present.status();
    if (present.ok() && ours.contains(*present)) {
      slot.program_ = ours.at(*present);
      return std::optional<Slot>(std::move(slot));
    }
    RETURN_IF_ERROR(kernel::RemovePinDir(path));
    return std::optional<Slot>();
  }
  auto opened = kernel::BpfLink::OpenPinned(path);
  // Not a link of ours: left alone. Should we need its name, Create makes room.
  if (absl::IsFailedPrecondition(opened.status())) return std::optional<Slot>();
  ASSIGN_OR_RETURN(kernel::BpfLink link, std::move(opened));
  ASSIGN_OR_RETURN(kernel::LinkInfo info, link.Info());
  if (!KindFits(info.kind, target.hook) || info.ifindex != target.ifindex) {
    RETURN_IF_ERROR(kernel::RemovePin(path));
    return std::optional<Slot>();
  }
  slot.mechanism_ = Mechanism::kTcx;
  if (target.hook == HOOK_XDP) {
    // Asked by the index of a device of this namespace; the link is ours wherever its device is.
    const auto mode = kernel::QueryXdpMode(target.ifindex);
    const bool generic = mode.ok() && *mode == kernel::XdpMode::kGeneric;
    slot.mechanism_ = generic ? Mechanism::kXdpGeneric : Mechanism::kXdpNative;
  }
  slot.program_ = Find(ours, info.program_id);
  slot.link_ = std::move(link);
  return std::optional<Slot>(std::move(slot));
}

absl::StatusOr<std::vector<uint32_t>> OwnQdiscs(const std::string& root) {
  const std::string prefix = "qdisc-";
  ASSIGN_OR_RETURN(const auto pins, kernel::ListPins(root + "/links"));
  std::vector<uint32_t> devices;
  for (const std::string& pin : pins) {
    uint32_t ifindex = 0;
    const char* end = pin.data() + pin.size();
    if (pin.rfind(prefix, 0) != 0) continue;
    const auto parsed = std::from_chars(pin.data() + prefix.size(), end, ifindex);
    if (parsed.ec == std::errc() && parsed.ptr == end) devices.push_back(ifindex);
  }
  return devices;
}

absl::Status ReleaseQdisc(const std::string& root, uint32_t ifindex) {
  RETURN_IF_ERROR(kernel::RemoveClsactIfEmpty(ifindex).status());
  return kernel::RemovePinDir(QdiscMark(root, ifindex));
}

absl::StatusOr<bool> Slot::Alive() const {
  if (link_) {
    ASSIGN_OR_RETURN(const kernel::LinkInfo info, link_->Info());
    return info.ifindex == target_.ifindex;
  }
  auto present = kernel::QueryClsact(Filter());
  if (absl::IsNotFound(present.status())) return false;
  RETURN_IF_ERROR(present.status());
  return true;
}

absl::Status Slot::Update(const ProgramRef& program) {
  if (!program->fd.valid()) {
    return base::FailedPrecondition("program {} is not held any more", program->id);
  }
  if (link_) {
    RETURN_IF_ERROR(link_->Update(program->fd.get()));
  } else {
    ASSIGN_OR_RETURN(uint32_t present, kernel::QueryClsact(Filter()));
    if (present != program_->id) {
      return base::FailedPrecondition(
          "our filter was replaced by program {}, which is left alone; remove it (tc filter del)",
          present);
    }
    RETURN_IF_ERROR(kernel::AttachClsact(Filter(), program->fd.get(), true));
  }
  program_ = program;
  return absl::OkStatus();
}

absl::Status Slot::Detach() {
  if (link_) {
    RETURN_IF_ERROR(link_->Detach());
    return kernel::RemovePin(PinPath());
  }
  auto present = kernel::QueryClsact(Filter());
  if (present.ok() && *present == program_->id) RETURN_IF_ERROR(kernel::DetachClsact(Filter()));
  RETURN_IF_ERROR(kernel::RemovePinDir(PinPath()));
  return RemoveOwnQdisc();
}

}  // namespace bonsai::attach
