// SPDX-License-Identifier: Apache-2.0
// What the programs consist of. All variables are declared, and set, at the head of a function, so
// that any statement can be left out.
#include <fmt/format.h>

#include <initializer_list>

#include "tests/differential/c_case.h"
#include "tests/differential/c_expressions.h"

namespace bonsai::differential {
namespace {

constexpr int kMaxMaps = 40;

class Generator : private Expressions {
 public:
  Generator(Random& random, const Variant& variant) : Expressions(random) {
    out_.variant = variant;
    fetches_ = variant.cpu != "v2";
  }

  CCase Run() {
    Constants();
    Changer();
    if (random_.Percent(60)) Callback();
    const auto functions = 1 + random_.Below(4);
    for (size_t i = 0; i < functions; ++i) Function();
    const auto programs = 2 + random_.Below(3);
    for (size_t i = 0; i < programs; ++i) Program(i);
    for (int map = 0; map < maps_; ++map) {
      out_.parts.insert(out_.parts.begin() + map, Node{fmt::format("MAP({})", map), {}, ""});
    }
    return std::move(out_);
  }

 private:
  // ---- constants ----

  void Constant(const std::string& type, const std::string& name, uint64_t value) {
    out_.constants.push_back({type, name, value});
    constants_.push_back(name);
  }

  void Constants() {
    Constant("bool", "c_on", random_.Below(2));
    Constant("bool", "c_off", random_.Below(2));
    Constant("__u8", "c_byte", random_.Nasty() & 0xff);
    Constant("__s8", "c_tiny", random_.Nasty() & 0xff);
    Constant("__u16", "c_port", random_.Nasty() & 0xffff);
    Constant("__s16", "c_short", random_.Nasty() & 0xffff);
    Constant("__u32", "c_word", random_.Nasty() & 0xffffffff);
    Constant("__s32", "c_int", random_.Nasty() & 0xffffffff);
    Constant("__u64", "c_wide", random_.Nasty());
    Constant("__s64", "c_long", random_.Nasty());
    Constant("__u32", "c_mode", random_.Below(8));
    Constant("__u32", "c_limit", random_.Below(8));
    Constant("__u32", "c_flags", random_.Below(256));
    Node data{"", {}, ""};
    data.body.push_back(
        {fmt::format("CONFIG(struct fields, c_set, {{{}, {}, {}, {}, {}, {}, {}, {}}});",
                     random_.Below(8), random_.Below(128), static_cast<int>(random_.Below(32)) - 16,
                     static_cast<int>(random_.Below(512)) - 256, random_.Nasty() & 0xffffffffffull,
                     random_.Below(65536), random_.Below(2),
                     static_cast<int>(random_.Below(256)) - 128),
         {},
         ""});
    data.body.push_back({Table("CONFIG(__u32, c_table[8], {", "});", 8), {}, ""});
    data.body.push_back({Table("CONFIG(__s8, c_bytes[8], {", "});", 128), {}, ""});
    data.body.push_back(
        {Table("static const __u16 k_table[8] __attribute__((section(\".rodata\"))) = {", "};", 4),
         {},
         ""});
    out_.parts.push_back(std::move(data));
  }
  std::string Table(const std::string& open, const std::string& close, uint64_t limit) {
    std::string text = open;
    for (int i = 0; i < 8; ++i) text += fmt::format("{}{}", i ? ", " : "", random_.Below(limit));
    return text + close;
  }

  // ---- statements ----

  Node Plain(std::string text) { return {std::move(text), {}, ""}; }

  Node Leaf() {
    if (maps_ >= kMaxMaps) return Plain("r ^= 1;");
    return Plain(fmt::format("LEAF({});", maps_++));
  }

  std::vector<Node> Block(int depth) {
    std::vector<Node> nodes;
    if (random_.Percent(45)) nodes.push_back(Leaf());
    const auto statements = 1 + random_.Below(3);
    for (size_t i = 0; i < statements; ++i) nodes.push_back(Statement(depth - 1));
    return nodes;
  }

  Node Assign() {
    const std::string variable = Variable();
    return Plain(fmt::format("{} = {};", variable, Expression(2)));
  }

  Node If(int depth) {
    Node node{fmt::format("if ({}) {{", Condition(1 + static_cast<int>(random_.Below(2)))),
              Block(depth), "}"};
    if (random_.Percent(40)) {
      node.body.push_back(Plain("} else {"));
      for (Node& child : Block(depth)) node.body.push_back(std::move(child));
    }
    return node;
  }

  Node Switch(int depth) {
    Node node{fmt::format("switch (({}) & 7) {{", Expression(1)), {}, "}"};
    const auto first = random_.Below(4);
    for (size_t i = first; i < first + 3 + random_.Below(3); ++i) {
      Node label{fmt::format("case {}:", i), Block(depth), random_.Percent(85) ? "break;" : ""};
      node.body.push_back(std::move(label));
    }
    node.body.push_back({"default:", Block(depth), "break;"});
    return node;
  }

  Node Loop(int depth) {
    const std::string bound =
        random_.Percent(60) ? "c_limit" : fmt::format("({} & 7)", Expression(1));
    const std::string i = fmt::format("i{}", depth);
    Node node{fmt::format("for ({} = 0; {} < {} && {} < 8; {}++) {{", i, i, bound, i, i), {}, "}"};
    node.body.push_back(Plain(random_.Of(Strings{"acc <<= 1;", "acc += 3;", "acc ^= c_flags;",
                                                 "acc = acc * 2 + 1;", "acc += skb_bit;"})));
    node.body.push_back({fmt::format("if (acc {} {}) {{", random_.Of(Strings{"==", ">", "&", "<"}),
                                     uint64_t{1} << random_.Below(8)), {Leaf()}, "}"});
    if (random_.Percent(40)) node.body.push_back(Statement(depth - 1));
    node.body.push_back(Plain("hide(acc);"));
    return node;
  }

  Node Atomic() {
    static const Strings kOps = {"add", "or", "and", "xor"};
    const std::string place = random_.Of(Strings{"st.a", "st.f"});
    if (!fetches_)
      return Plain(fmt::format("__sync_fetch_and_add(&{}, {});", place, Expression(1)));
    if (random_.Percent(25)) {
      return Plain(fmt::format("a = __sync_val_compare_and_swap(&{}, (__u64)({}), {});", place,
                               Expression(1), Literal()));
    }
    return Plain(fmt::format("{} = __sync_fetch_and_{}(&{}, {});",
                             random_.Of(Strings{"a", "b", "c"}), random_.Of(kOps), place,
                             Expression(1)));
  }

  Node MapValue() {
    Node node{"if ((p = bpf_map_lookup_elem(&shared, &key))) {", {}, "}"};
    node.body.push_back(Plain(random_.Percent(50) ? "b = *p;" : "*p = b;"));
    return node;
  }

  Node TailCall() {
    if (!has_packet_) return Assign();
    switch (random_.Below(3)) {
      case 0: return Plain(fmt::format("bpf_tail_call(skb, &calls, {});", random_.Below(16)));
      case 1: return Plain("bpf_tail_call(skb, &calls, c_mode);");
      default:
        return Plain(fmt::format("bpf_tail_call(skb, &calls, {} ? {} : {});", Condition(1),
                                 random_.Below(16), random_.Below(16)));
    }
  }

  Node Statement(int depth) {
    if (depth <= 0) return Assign();
    switch (random_.Below(18)) {
      case 0: case 1: case 2: case 3: return If(depth);
      case 4: return Switch(depth);
      case 5: return Loop(depth);
      case 6: return Atomic();
      case 7: return MapValue();
      case 8: return random_.Percent(50) ? TailCall() : Assign();
      case 9: return Plain("hide(" + random_.Of(Strings{"a", "b", "c", "d", "w", "x", "s"}) + ");");
      case 10: return {fmt::format("if ({}) {{", Condition(1)), {Leaf(), Plain(fmt::format(
                                       "return {};", random_.Percent(50) ? "r" : Literal()))}, "}"};
      case 11: return Passed();
      case 12: return {fmt::format("if ({}) {{", Condition(1)), {Leaf()}, "}"};
      default: return Assign();
    }
  }

  // The struct's address leaves the function.
  Node Passed() {
    if (!has_callback_ || !has_packet_) return Plain("r += change(&st, a);");
    switch (random_.Below(3)) {
      case 0: return Plain(fmt::format("bpf_loop({}, each_round, &st, 0);", random_.Below(5)));
      case 1: return Plain("bpf_for_each_map_elem(&shared, each_element, &st, 0);");
      default: return Plain("r += change(&st, b);");
    }
  }

  // ---- functions ----

  // The variables of a function, each set to something.
  void Head(Node& function) {
    function.body.push_back(Plain("__u64 a = 0, b = 0, c = 0, d = 0, acc = 1, *p;"));
    function.body.push_back(Plain("__u32 w = 0, x = 0, key = 0, i0, i1, i2, i3, i4;"));
    function.body.push_back(Plain("__s32 s = 0; __s16 h = 0; __s8 y = 0; __u8 z = 0; int r = 0;"));
    function.body.push_back(Plain("__u32 skb_bit = bpf_get_prandom_u32() & 1;"));
    function.body.push_back(Plain("struct state st = {};"));
    for (const char* name : {"a", "b", "c", "d", "w", "x", "s", "h", "y", "z", "st.a", "st.b",
                             "st.c", "st.d", "st.e", "st.f"}) {
      const std::string from = random_.Percent(60) ? ConstantRead()
                               : random_.Percent(50) ? Literal() : Packet();
      function.body.push_back(Plain(fmt::format("{} = {};", name, from)));
      if (random_.Percent(25) && std::string(name).size() == 1) {
        function.body.push_back(Plain(fmt::format("hide({});", name)));
      }
    }
    if (random_.Percent(40)) {
      function.body.push_back(Plain("asm volatile(\"\" : : \"r\"(&st) : \"memory\");"));
    }
  }

  void Statements(Node& function, uint64_t number, int depth) {
    for (uint64_t i = 0; i < number; ++i) function.body.push_back(Statement(depth));
  }

  std::string Result() {
    return random_.Percent(40) ? "return r;" : fmt::format("return {};", Expression(1));
  }

  void Function() {
    const std::string name = fmt::format("f{}", functions_.size());
    const std::string kind = random_.Of(
        Strings{"static __noinline", "static __noinline", "__noinline", "__weak __noinline"});
    Node function{
        fmt::format("{} int {}(struct __sk_buff *skb, __u64 one, __u32 two)\n{{", kind, name),
        {},
        "}"};
    Head(function);
    // What the function does not look at its callers do not pass, and the kernel minds that.
    function.body.push_back(Plain("hide(skb); hide(one); hide(two); a = one; w = two;"));
    if (random_.Percent(30)) function.body.push_back(Plain("if (!skb) return 0;"));
    Statements(function, 1 + random_.Below(3), 2);
    function.body.push_back(Plain(Result()));
    out_.parts.push_back(std::move(function));
    functions_.push_back(name);
  }

  void Changer() {
    Node function{"static __noinline int change(struct state *q, __u64 with)\n{", {}, "}"};
    function.body.push_back(Plain("__u32 key = 0; int r = 0;"));
    const Strings writes = {"q->a = with;", "q->b += c_word;", "q->d = c_mode;", "q->f ^= q->a;",
                            "q->c = -1;", "q->e = c_tiny;", "r = q->b;"};
    for (int i = 0; i < 2; ++i) function.body.push_back(Plain(random_.Of(writes)));
    function.body.push_back(
        {fmt::format("if (q->{} == {}) {{", random_.Of(Strings{"a", "b", "c", "d"}), Literal()),
         {Leaf()},
         "}"});
    function.body.push_back(Plain("return r;"));
    out_.parts.push_back(std::move(function));
  }

  void Callback() {
    has_callback_ = true;
    // Steps that end somewhere: the verifier walks the rounds until nothing new comes up.
    const Strings steps = {"q->a |= 4;", "q->b = c_mode;",  "q->d = 0;",    "q->f &= index;",
                           "q->e = 3;",  "q->c = c_short;", "q->a ^= q->b;"};
    for (const char* head :
         {"static int each_round(__u32 index, struct state *q)\n{",
          "static long each_element(struct bpf_map *m, __u32 *k, __u64 *v, struct "
          "state *q)\n{"}) {
      Node function{head, {}, "}"};
      function.body.push_back(Plain("__u32 key = 0; int r = 0;"));
      if (std::string(head).find("index") == std::string::npos) {
        function.body.push_back(Plain("__u32 index = *k;"));
      }
      for (int i = 0; i < 2; ++i) function.body.push_back(Plain(random_.Of(steps)));
      function.body.push_back({fmt::format("if (q->{} == {}) {{",
                                           random_.Of(Strings{"a", "b", "c", "d", "e", "f"}),
                                           Literal()), {Leaf()}, "}"});
      function.body.push_back(Plain(random_.Percent(70) ? "return 0;" : "return q->a > 2;"));
      out_.parts.push_back(std::move(function));
    }
  }

  void Program(size_t number) {
    Node program{fmt::format("SEC(\"tc\") int p{}(struct __sk_buff *skb)\n{{", number), {}, "}"};
    Head(program);
    Statements(program, 3 + random_.Below(5), 4);
    program.body.push_back(Plain("r += a + b + c + d + w + x + s + h + y + z + acc;"));
    program.body.push_back(Plain("return r;"));
    out_.parts.push_back(std::move(program));
  }

  CCase out_;
  int maps_ = 0;
  bool fetches_ = true, has_callback_ = false;
};

}  // namespace

CCase GenerateC(Random& random, const Variant& variant) { return Generator(random, variant).Run(); }

}  // namespace bonsai::differential
