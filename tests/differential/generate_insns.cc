// SPDX-License-Identifier: Apache-2.0
// Sequences that the verifier takes for the most part: all registers and the stack's first 64 bytes
// are set at the head of a function and hold numbers, so that any arithmetic on them is allowed.
#include <algorithm>
#include <iterator>

#include "tests/differential/insn_case.h"

namespace bonsai::differential {
namespace {

constexpr int kStackBytes = 64;
constexpr uint8_t kAlu[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR,  BPF_AND, BPF_LSH,
                            BPF_RSH, BPF_NEG, BPF_MOD, BPF_XOR, BPF_MOV, BPF_ARSH, BPF_END};
constexpr uint8_t kCompares[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET, BPF_JNE, BPF_JSGT,
                                 BPF_JSGE, BPF_JLT, BPF_JLE, BPF_JSLT, BPF_JSLE};
constexpr uint8_t kSizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
constexpr int kAtomics[] = {BPF_ADD, BPF_OR, BPF_AND, BPF_XOR, BPF_ADD | BPF_FETCH,
                            BPF_OR | BPF_FETCH, BPF_AND | BPF_FETCH, BPF_XOR | BPF_FETCH,
                            BPF_XCHG, BPF_CMPXCHG};
constexpr uint8_t kMayGoto = BPF_JMP | 0xe0;
constexpr uint8_t kSignedLoad = 0x80;

int BytesOf(uint8_t size) { return size == BPF_B ? 1 : size == BPF_H ? 2 : size == BPF_W ? 4 : 8; }

bpf_insn Make(int code, int dst, int src, int off, int imm) {
  bpf_insn insn{};
  insn.code = static_cast<uint8_t>(code);
  insn.dst_reg = static_cast<uint8_t>(dst & 15);
  insn.src_reg = static_cast<uint8_t>(src & 15);
  insn.off = static_cast<int16_t>(off);
  insn.imm = imm;
  return insn;
}

// The body of one function.
class Body {
 public:
  // `takes_frame`: functions that are given their caller's frame in r1.
  Body(Random& random, size_t number, const std::vector<bool>& takes_frame)
      : random_(random), number_(number), takes_frame_(takes_frame) {}

  InsnFunction Run() {
    function_.is_global = number_ != 0 && !takes_frame_[number_] && random_.Percent(30);
    Head();
    const size_t length = number_ == 0 ? 12 + random_.Below(40) : 4 + random_.Below(16);
    while (function_.items.size() < length + 24) Step(true);
    Add(Make(BPF_ALU64 | BPF_MOV | BPF_X, 0, Register(), 0, 0));
    Add(Make(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
    const int last = static_cast<int>(function_.items.size()) - 2;
    for (Item& item : function_.items) {
      item.target = std::min(item.target, last);
      while (item.target >= 0 && function_.items[static_cast<size_t>(item.target)].glued)
        ++item.target;
    }
    return std::move(function_);
  }

 private:
  Item& Add(const bpf_insn& insn) { return function_.items.emplace_back(Item{.insn = insn}); }
  // What is added from `first` on is one thing.
  void Glue(size_t first) {
    for (size_t i = first + 1; i < function_.items.size(); ++i) function_.items[i].glued = true;
  }

  // A register that may be overwritten.
  int Register() {
    for (;;) {
      const int reg = static_cast<int>(random_.Below(10));
      if ((reserved_ & (1 << reg)) == 0) return reg;
    }
  }
  int Any() { return random_.Percent(5) ? Register() : static_cast<int>(random_.Below(10)); }
  // A register that may be read: what is reserved is a number too, or the caller's frame.
  int Readable() {
    for (;;) {
      const int reg = Any();
      if (reg != frame_) return reg;
    }
  }
  int32_t Immediate() { return static_cast<int32_t>(random_.Nasty()); }

  void LoadImm64(int reg, uint64_t value) {
    Add(Make(BPF_LD | BPF_IMM | BPF_DW, reg, 0, 0, static_cast<int32_t>(value))).high =
        static_cast<int32_t>(value >> 32);
  }

  void LoadData(int reg) {
    const size_t first = function_.items.size();
    const uint8_t size = kSizes[random_.Below(4)];
    const int bytes = BytesOf(size);
    Add(Make(BPF_LD | BPF_IMM | BPF_DW, reg, 0, 0, 0)).data_offset =
        static_cast<int>(random_.Below(kDataBytes / 2 / static_cast<size_t>(bytes))) * bytes;
    const bool is_signed = bytes < 8 && random_.Percent(20);
    Add(Make(BPF_LDX | (is_signed ? kSignedLoad : BPF_MEM) | size, reg, reg,
             static_cast<int>(random_.Below(2)) * bytes, 0));
    Glue(first);
  }

  void Set(int reg) {
    switch (random_.Below(4)) {
      case 0: Add(Make(BPF_ALU64 | BPF_MOV | BPF_K, reg, 0, 0, Immediate())); break;
      case 1: Add(Make(BPF_ALU | BPF_MOV | BPF_K, reg, 0, 0, Immediate())); break;
      case 2: LoadData(reg); break;
      default: random_.Percent(40) ? LoadImm64(reg, random_.Nasty()) : LoadData(reg);
    }
  }

  void Head() {
    if (number_ == 0) {
      // Numbers that nobody knows: fields of the packet.
      const int known = static_cast<int>(random_.Below(3));
      for (int reg = 2; reg < 5 - known; ++reg) {
        Add(Make(BPF_LDX | BPF_MEM | BPF_W, reg, 1, 4 * static_cast<int>(random_.Below(3)), 0));
      }
      for (const int reg : {0, 1, 5, 6, 7, 8, 9}) Set(reg);
      for (int reg = 5 - known; reg < 5; ++reg) Set(reg);
    } else {
      for (const int reg : {0, 4, 5, 6, 7, 8}) Set(reg);
      if (takes_frame_[number_]) {
        Add(Make(BPF_ALU64 | BPF_MOV | BPF_X, 9, 1, 0, 0));
        frame_ = 9;
        reserved_ |= 1 << 9;
        Set(1);
      } else {
        Set(9);
      }
    }
    for (int at = 8; at <= kStackBytes; at += 8) {
      if (random_.Percent(50)) {
        Add(Make(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -at, random_.Percent(50) ? 0 : Immediate()));
      } else {
        Add(Make(BPF_STX | BPF_MEM | BPF_DW, 10, Readable(), -at, 0));
      }
    }
  }

  void Arithmetic() {
    const uint8_t op = kAlu[random_.Below(std::size(kAlu))];
    const bool wide = random_.Percent(60), by_register = random_.Percent(50);
    const int kind = wide ? BPF_ALU64 : BPF_ALU, width = wide ? 64 : 32, dst = Register();
    if (op == BPF_END) {
      const int bits = 16 << random_.Below(3);
      const int swap = random_.Percent(40)
                           ? BPF_ALU64 | BPF_END
                           : BPF_ALU | BPF_END | (random_.Percent(70) ? BPF_X : BPF_K);
      Add(Make(swap, dst, 0, 0, bits));
      return;
    }
    if (op == BPF_NEG) {
      Add(Make(kind | BPF_NEG, dst, 0, 0, 0));
      return;
    }
    const bool shift = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
    const bool divide = op == BPF_DIV || op == BPF_MOD;
    int off = divide && random_.Percent(40) ? 1 : 0;
    if (op == BPF_MOV && by_register && random_.Percent(40)) {
      off = wide ? 8 << random_.Below(3) : 8 << random_.Below(2);
    }
    if (by_register) {
      Add(Make(kind | op | BPF_X, dst, Readable(), off, 0));
      return;
    }
    int32_t imm = Immediate();
    if (shift) imm = static_cast<int32_t>(random_.Below(static_cast<uint64_t>(width)));
    if (divide && imm == 0) imm = 3;
    Add(Make(kind | op | BPF_K, dst, 0, off, imm));
  }

  void Stack() {
    const uint8_t size = kSizes[random_.Below(4)];
    const int bytes = BytesOf(size);
    const int at =
        -static_cast<int>(1 + random_.Below(static_cast<uint64_t>(kStackBytes / bytes))) * bytes;
    // In the caller's frame now and then, where there is one.
    const int base = frame_ >= 0 && random_.Percent(40) ? frame_ : 10;
    switch (random_.Below(5)) {
      case 0: Add(Make(BPF_ST | BPF_MEM | size, base, 0, at, Immediate())); break;
      case 1: case 2: Add(Make(BPF_STX | BPF_MEM | size, base, Readable(), at, 0)); break;
      default: {
        const bool is_signed = bytes < 8 && random_.Percent(25);
        Add(Make(BPF_LDX | (is_signed ? kSignedLoad : BPF_MEM) | size, Register(), base, at, 0));
      }
    }
  }

  // At an offset that is not known.
  void VariableStack() {
    const size_t first = function_.items.size();
    const int reg = Register();
    Add(Make(BPF_ALU64 | BPF_AND | BPF_K, reg, 0, 0, random_.Percent(50) ? 0x38 : 0x10));
    Add(Make(BPF_ALU64 | BPF_ADD | BPF_X, reg, 10, 0, 0));
    if (random_.Percent(50)) {
      Add(Make(BPF_ST | BPF_MEM | BPF_DW, reg, 0, -kStackBytes, Immediate()));
      Set(reg);
    } else {
      Add(Make(BPF_LDX | BPF_MEM | BPF_DW, reg, reg, -kStackBytes, 0));
    }
    Glue(first);
  }

  void Atomic() {
    const bool wide = random_.Percent(60);
    const int bytes = wide ? 8 : 4;
    const int at =
        -static_cast<int>(1 + random_.Below(static_cast<uint64_t>(kStackBytes / bytes))) * bytes;
    Add(Make(BPF_STX | BPF_ATOMIC | (wide ? BPF_DW : BPF_W), 10, Register(), at,
             kAtomics[random_.Below(std::size(kAtomics))]));
  }

  // Forward, over a few items of this function.
  int Ahead() { return static_cast<int>(function_.items.size() + 1 + 1 + random_.Below(6)); }

  void Branch() {
    const int kind = random_.Percent(60) ? BPF_JMP : BPF_JMP32;
    const uint8_t op = kCompares[random_.Below(std::size(kCompares))];
    const int target = Ahead();
    if (random_.Percent(35)) {
      Add(Make(kind | op | BPF_X, Readable(), Readable(), 0, 0)).target = target;
    } else {
      Add(Make(kind | op | BPF_K, Readable(), 0, 0, Immediate())).target = target;
    }
  }

  // To the next instruction, or to some other one if the kernel likes.
  void Jump() {
    const int next = static_cast<int>(function_.items.size()) + 1;
    switch (random_.Below(4)) {
      case 0: Add(Make(BPF_JMP32 | BPF_JA, 0, 0, 0, 0)).target = next; break;
      case 1: Add(Make(BPF_JMP | BPF_JA, 0, 0, 0, 0)).target = next; break;
      default: {
        const int target = Ahead();
        Add(Make(kMayGoto | BPF_K, 0, 0, 0, 0)).target = target;
      }
    }
  }

  void IfElse() {
    const size_t branch = function_.items.size();
    Branch();
    for (uint64_t left = 1 + random_.Below(3); left > 0; --left) Step(false);
    const size_t jump = function_.items.size();
    Add(Make(random_.Percent(50) ? BPF_JMP32 | BPF_JA : BPF_JMP | BPF_JA, 0, 0, 0, 0));
    function_.items[branch].target = static_cast<int>(function_.items.size());
    for (uint64_t left = 1 + random_.Below(3); left > 0; --left) Step(false);
    function_.items[jump].target = static_cast<int>(function_.items.size());
  }

  void AfterCall() {
    for (int reg = 1; reg <= 5; ++reg) {
      if ((reserved_ & (1 << reg)) == 0) {
        Add(Make(BPF_ALU64 | BPF_MOV | BPF_K, reg, 0, 0, Immediate()));
      }
    }
  }

  void Call() {
    const size_t first = function_.items.size();
    if (number_ + 1 >= takes_frame_.size() || random_.Percent(40)) {
      Add(Make(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_prandom_u32));
    } else {
      const size_t callee = number_ + 1 + random_.Below(takes_frame_.size() - number_ - 1);
      if (takes_frame_[callee]) Add(Make(BPF_ALU64 | BPF_MOV | BPF_X, 1, 10, 0, 0));
      Add(Make(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, -1)).callee = static_cast<int>(callee);
    }
    AfterCall();
    Glue(first);
  }

  void NoJumpBeyond(size_t first, size_t last, size_t limit) {
    for (size_t i = first; i < last; ++i) {
      Item& item = function_.items[i];
      item.target = std::min(item.target, static_cast<int>(limit));
    }
  }

  // A loop of a few rounds, counted in a register that the body leaves alone; or of as many as
  // may_goto allows.
  void Loop() {
    const int reg = 6 + static_cast<int>(random_.Below(3));
    if (reserved_ & (1 << reg)) return Arithmetic();
    NoJumpBeyond(0, function_.items.size(), function_.items.size());
    const bool counted = random_.Percent(70);
    if (counted) Add(Make(BPF_ALU64 | BPF_MOV | BPF_K, reg, 0, 0, 0));
    const size_t top = function_.items.size();
    if (!counted) Add(Make(kMayGoto | BPF_K, 0, 0, 0, 0));
    reserved_ |= 1 << reg;
    for (uint64_t left = 1 + random_.Below(4); left > 0; --left) Step(false);
    reserved_ &= ~(1u << reg);
    NoJumpBeyond(top, function_.items.size(), function_.items.size());
    if (counted) {
      Add(Make(BPF_ALU64 | BPF_ADD | BPF_K, reg, 0, 0, 1));
      Add(Make(BPF_JMP | BPF_JLT | BPF_K, reg, 0, 0, static_cast<int>(1 + random_.Below(6))));
    } else {
      Add(Make(BPF_JMP | BPF_JA, 0, 0, 0, 0));
      function_.items[top].target = static_cast<int>(function_.items.size());
    }
    function_.items.back().target = static_cast<int>(top);
  }

  void Step(bool may_loop) {
    switch (random_.Below(20)) {
      case 0: case 1: case 2: case 3: case 4: case 5: return Branch();
      case 6: case 7: case 8: return Stack();
      case 9: return random_.Percent(60) ? LoadData(Register()) : VariableStack();
      case 10: return Atomic();
      case 11: return random_.Percent(40) ? Jump() : IfElse();
      case 12: return Call();
      case 13: return may_loop && random_.Percent(40) ? Loop() : Arithmetic();
      default: return Arithmetic();
    }
  }

  Random& random_;
  const size_t number_;
  const std::vector<bool>& takes_frame_;
  InsnFunction function_;
  uint32_t reserved_ = 0;
  int frame_ = -1;
};

}  // namespace

InsnCase GenerateInsns(Random& random) {
  InsnCase made;
  for (size_t i = 0; i < kDataBytes; i += 8) {
    const uint64_t number = random.Nasty();
    for (size_t byte = 0; byte < 8; ++byte) {
      made.data.push_back(static_cast<uint8_t>(number >> (8 * byte)));
    }
  }
  const size_t functions = 1 + random.Below(kMostInsnFunctions);
  std::vector<bool> takes_frame;
  for (size_t number = 0; number < functions; ++number) {
    takes_frame.push_back(number > 0 && random.Percent(35));
  }
  for (size_t number = 0; number < functions; ++number) {
    made.functions.push_back(Body(random, number, takes_frame).Run());
  }
  return made.Called();
}

}  // namespace bonsai::differential
