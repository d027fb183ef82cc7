// SPDX-License-Identifier: Apache-2.0
// What the kernel side writes down, user space reads: a counter of what was not seen is of no use
// to anybody else. Looked for in the text, since neither compiler knows of the other's program.
//
// A field of a struct in bpf/include/*abi*.h is read when a file of agent/ that names the struct,
// or a variable or map of it, has `.field`, `->field` or `::field`. A global of a BPF program is
// read when a file of agent/ has its name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/places.h"

namespace {

namespace fs = std::filesystem;

// Those that are no counters, or that only the kernel side itself needs, and why.
const std::map<std::string, std::string> kOfTheKernelOnly = {
    {"fl_call_fault._rest", "fills the page"},
    {"fl_call_fault.asked", "number of the next throw of the dice"},
    {"fl_call_fault.hits", "number of the next hit, for `count`"},
    {"fl_call_fault.scope", "said by node_programs.h"},
    {"fl_call_watch.scope", "said by node_programs.h"},
    {"fl_delay_flow.last_back_ns", "order of a flow"},
    {"fl_delay_flow.waiting", "order of a flow"},
    {"fl_delay_slot.due_ns", "what a waiting packet carries"},
    {"fl_delay_slot.hash", "what a waiting packet carries"},
    {"fl_delay_slot.macs", "what a waiting packet carries"},
    {"fl_delay_slot.mark", "what a waiting packet carries"},
    {"fl_delay_slot.priority", "what a waiting packet carries"},
    {"fl_delay_slot.queue_mapping", "what a waiting packet carries"},
    {"fl_delay_slot.tc_index", "what a waiting packet carries"},
    {"fl_edt_drawn", "number of the next delay"},
    {"fl_edt_over_ns", "when the lease was seen to be over"},
    {"fl_event_no", "number of the next throw of the dice"},
    {"fl_filter_rules.address_set", "said by user space"},
    {"fl_filter_rules.by_peer", "said by user space"},
    {"fl_filter_rules.except", "said by user space"},
    {"fl_filter_rules.except_by_peer", "said by user space"},
    {"fl_filter_rules.only", "said by user space"},
    {"fl_filter_rules.protocol", "said by user space"},
    {"fl_flow_pod.h2_epochs", "number of the next epoch of a connection of HTTP/2"},
    {"fl_link_state.back", "schedule of the narrow link"},
    {"fl_link_state.free", "schedule of the narrow link"},
    {"fl_link_state.in_line", "packets that keep others from passing at once"},
    {"fl_link_state.last_out", "schedule of the narrow link"},
    {"fl_links", "the former three"},
    {"fl_loss_cut_any", "whether a packet may have to follow one that was cut"},
    {"fl_loss_in_pair",
     "how much is in the pair: a bound, whose breach is fl_line_counters.stalled"},
    {"fl_loss_returned_ns", "when the former is forgotten"},
    {"fl_passing.mark", "which packets are on their second way"},
    {"fl_passing.number", "which packets are on their second way"},
    {"fl_passing.owner", "which packets are on their second way"},
    {"fl_sock_fault._rest", "fills the cache lines"},
    {"fl_sock_fault.asked", "number of the next throw of the dice"},
    {"fl_sock_fault.scope", "said by node_programs.h"},
    {"fl_tcp_round.opened", "what is remembered of a socket"},
    {"fl_tcp_round.retrans", "what is remembered of a socket"},
    {"fl_tcp_round.sent", "what is remembered of a socket"},
    {"fl_wait_page.index", "which call waits, for the program that counts it"},
    {"fl_waits.waiting", "chooses how far to look for a free page"},
};

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string without_comments(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const bool block = text.compare(at, 2, "/*") == 0;
    if (!block && text.compare(at, 2, "//") != 0) {
      out += text[at++];
      continue;
    }
    const std::size_t end = block ? text.find("*/", at + 2) : text.find('\n', at);
    if (end == std::string::npos) break;
    at = block ? end + 2 : end;
  }
  return out;
}

std::vector<std::string> texts_below(const fs::path& root, const std::regex& name) {
  std::vector<std::string> texts;
  for (const auto& entry : fs::recursive_directory_iterator(root))
    if (entry.is_regular_file() && std::regex_search(entry.path().string(), name))
      texts.push_back(without_comments(text_of(entry.path())));
  return texts;
}

template <class F>
void each_match(const std::string& text, const std::regex& what, F use) {
  for (std::sregex_iterator at(text.begin(), text.end(), what), end; at != end; ++at) use(*at);
}

struct KernelSide {
  std::map<std::string, std::set<std::string>> fields;  // by struct
  std::map<std::string, std::set<std::string>> places;  // names of variables and maps, by struct
  std::set<std::string> globals;
};

KernelSide read_kernel_side(const fs::path& bpf) {
  static const std::regex kStruct(R"(\nstruct (fl_\w+) \{([^}]*)\})");
  static const std::regex kField(R"((\w+)(\[[^;]*\])?;)");
  static const std::regex kGlobal(
      R"(\n(?:static )?(?:volatile )?(?:__[us]\d+|struct (fl_\w+)) (fl_\w+)(?:\[[^;=]*\])?;)");
  static const std::regex kMap(R"(\nstruct \{([^}]*)\} (fl_\w+) SEC\(".maps"\))");
  static const std::regex kValue(R"(__type\(value, struct (fl_\w+)\))");
  KernelSide side;
  for (const std::string& text : texts_below(bpf, std::regex(R"(abi\w*\.h$)")))
    each_match(text, kStruct, [&](const std::smatch& s) {
      const std::string body = s[2];
      each_match(body, kField, [&](const std::smatch& f) {
        // What user space says is no counter: fl_*_config.
        if (!f[1].str().starts_with("_pad") && !s[1].str().ends_with("_config"))
          side.fields[s[1]].insert(f[1]);
      });
    });
  for (const std::string& text : texts_below(bpf, std::regex(R"(\.bpf\.[ch]$)"))) {
    each_match(text, kGlobal, [&](const std::smatch& g) {
      side.globals.insert(g[2]);
      if (g[1].matched) side.places[g[1]].insert(g[2]);
    });
    each_match(text, kMap, [&](const std::smatch& m) {
      const std::string body = m[1];
      each_match(body, kValue, [&](const std::smatch& v) { side.places[v[1]].insert(m[2]); });
    });
  }
  return side;
}

bool is_part(const std::string& text, std::size_t at) {
  return at < text.size() &&
         (std::isalnum(static_cast<unsigned char>(text[at])) || text[at] == '_');
}

bool has_word(const std::string& text, const std::string& word) {
  // What begins with a sign needs no boundary before it.
  const bool sign = !is_part(word, 0);
  for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; ++at)
    if ((sign || at == 0 || !is_part(text, at - 1)) && !is_part(text, at + word.size()))
      return true;
  return false;
}

// "fl_tcp_counts.hist_failed", "fl_call_missed".
std::set<std::string> unread(const fs::path& root) {
  const KernelSide side = read_kernel_side(root / "bpf");
  const auto agent = texts_below(root / "agent", std::regex(R"(\.(cpp|h)$)"));
  std::set<std::string> found;
  for (const auto& [name, fields] : side.fields) {
    std::set<std::string> names = {name};
    if (const auto at = side.places.find(name); at != side.places.end())
      names.insert(at->second.begin(), at->second.end());
    std::string readers;
    for (const std::string& text : agent)
      for (const std::string& word : names)
        if (has_word(text, word)) {
          readers += text;
          break;
        }
    for (const std::string& field : fields)
      if (!has_word(readers, "." + field) && !has_word(readers, "->" + field) &&
          !has_word(readers, "::" + field))
        found.insert(name + "." + field);
  }
  for (const std::string& global : side.globals)
    if (std::ranges::none_of(agent, [&](const auto& text) { return has_word(text, global); }))
      found.insert(global);
  return found;
}

// What programs of packet_flow and tls_plain remember of a connection, and its key: nothing in it
// is counted.
constexpr std::array kMemoryOfTheKernel = {
    "fl_flow_connection.",  "fl_flow_http1.",  "fl_flow_key.",     "fl_flow_tls.",
    "fl_h2_connection.",    "fl_h2_fields.",   "fl_h2_held.",      "fl_h2_stream.",
    "fl_h2_way.",           "fl_plain_call.",  "fl_plain_frame.",  "fl_plain_key.",
    "fl_plain_connection.", "fl_plain_http2.", "fl_plain_stream.", "fl_plain_way."};

TEST(KernelCounters, NoneIsLeftUnread) {
  std::set<std::string> found = unread(faultline::test::source_dir());
  std::erase_if(found, [](const std::string& name) {
    return std::ranges::any_of(kMemoryOfTheKernel,
                               [&](const char* of) { return name.starts_with(of); });
  });
  for (const auto& [name, why] : kOfTheKernelOnly)
    EXPECT_EQ(found.erase(name), 1U) << name << " is read, or is no more: take it from the list";
  EXPECT_THAT(found, testing::IsEmpty());
}

// A tree of its own, with a counter and a global that are read and two that are not.
class MadeUpTree {
 public:
  MadeUpTree() : root_(fs::temp_directory_path() / ("flt" + std::to_string(getpid()) + "-tree")) {
    write(
        "bpf/include/effect_abi_x.h",
        "\nstruct fl_x_counts {\n\t__u64 seen; /* a */\n\t__u64 not_seen;\n\t__u32 _pad[2];\n};\n");
    write("bpf/effects/x.bpf.c",
          "\nstruct fl_x_counts fl_x_counts; /* .bss */\n__u64 fl_x_told;\n__u64 fl_x_untold;\n");
    write("agent/effects/x.cpp",
          "// now.not_seen, fl_x_untold\nuse(bss->fl_x_counts.seen + bss->fl_x_told);\n");
  }
  MadeUpTree(const MadeUpTree&) = delete;
  MadeUpTree& operator=(const MadeUpTree&) = delete;
  ~MadeUpTree() { fs::remove_all(root_); }
  [[nodiscard]] const fs::path& root() const { return root_; }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

 private:
  fs::path root_;
};

TEST(KernelCounters, FieldAndGlobalThatNobodyReadsAreFound) {
  const MadeUpTree tree;
  EXPECT_THAT(unread(tree.root()), testing::ElementsAre("fl_x_counts.not_seen", "fl_x_untold"));
  // A field of the same name elsewhere is another field.
  tree.write("agent/effects/y.cpp", "use(other.not_seen);\n");
  EXPECT_EQ(unread(tree.root()).size(), 2U);
  tree.write("agent/effects/y.cpp", "use(bss->fl_x_counts.not_seen, bss->fl_x_untold);\n");
  EXPECT_THAT(unread(tree.root()), testing::IsEmpty());
}

}  // namespace
