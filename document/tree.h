// SPDX-License-Identifier: Apache-2.0
// What the readers of YAML and JSON have in common: they build one value within a budget, refuse
// keys that are given twice, and remember the line of everything. Not thread-safe; one per reading.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::document {

// The most that is read of one text. Whoever reads stops at the first value beyond it, so that
// neither time nor memory depends on anything but these numbers and the size of the text.
struct Budget {
  std::size_t bytes = 1 << 20;
  std::size_t values = 100'000;  // maps, lists and scalars of all documents; keys do not count
  std::size_t depth = 64;        // of maps and lists in each other
};

// Where something stands; 1-based, 0 is unknown.
struct Lines {
  int key = 0;    // of its key; of an item of a list, where the item begins
  int value = 0;  // where its value begins
};

// Lines by path ("spec.faults[0]", document/path.h). It keeps a number for each path, not the path:
// a document of deep maps with long keys would otherwise take thousands of times its size. Two
// paths may have one number, then a message names a wrong line.
class LineMap {
 public:
  // {0, 0} where nothing stands.
  [[nodiscard]] Lines find(std::string_view path) const;
  // The first to say it is right.
  void put(std::uint64_t number, Lines lines) { lines_.try_emplace(number, lines); }

  static constexpr std::uint64_t kRoot = 14695981039346656037U;  // the number of ""
  // The number of path + text, given the number of path (FNV-1a).
  [[nodiscard]] static std::uint64_t below(std::uint64_t number, std::string_view text);

 private:
  std::map<std::uint64_t, Lines> lines_;  // a tree: nobody can choose keys that collide
};

struct Problem {
  int line = 0;  // 0: unknown
  std::string path;
  std::string message;
};

class Tree {
 public:
  // `lines` may be null: then none are kept. Both must outlive this.
  Tree(const Budget& budget, LineMap* lines) : budget_(budget), lines_(lines) {}

  // In the order of the text; of an object, key() before each value. After a false nothing more is
  // to be given: problems() says why.
  [[nodiscard]] bool begin_object(int line) { return begin(boost::json::object(), line); }
  [[nodiscard]] bool begin_array(int line) { return begin(boost::json::array(), line); }
  [[nodiscard]] bool key(std::string_view key, int line);
  [[nodiscard]] bool scalar(boost::json::value value, int line);
  void end();

  // Is a key expected now?
  [[nodiscard]] bool wants_key() const;
  // A problem of the value that comes next. False when there are too many.
  [[nodiscard]] bool problem(int line, std::string message);
  // Ends the reading with this as its last problem; returns false.
  bool stop(int line, std::string message);

  // The value, once its last part was given; the next document may be begun with other lines.
  [[nodiscard]] boost::json::value take(LineMap* next_lines);
  [[nodiscard]] const std::vector<Problem>& problems() const { return problems_; }
  [[nodiscard]] std::vector<Problem>& problems() { return problems_; }
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  struct Frame {
    boost::json::value container;
    std::uint64_t number = LineMap::kRoot;  // of its path, as LineMap counts
    std::string key;                        // of the value that comes next
    int key_line = 0;
    bool has_key = false;
    bool twice = false;  // that key was there before: its value is read and dropped
  };
  bool begin(boost::json::value container, int line);
  // Counts the value that comes next and notes its lines; false when the budget is spent.
  bool admit(int line, bool is_null, std::uint64_t& number);
  void place(boost::json::value value);
  // The path of the value that comes next.
  [[nodiscard]] std::string path() const;

  const Budget& budget_;
  LineMap* lines_;
  std::size_t values_ = 0;
  std::vector<Frame> open_;
  boost::json::value done_;
  std::vector<Problem> problems_;
  bool stopped_ = false;
};

// "1 MiB", "256 KiB" or "1000 bytes", for messages.
[[nodiscard]] std::string size_words(std::size_t bytes);

}  // namespace faultline::document
