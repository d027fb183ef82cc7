// SPDX-License-Identifier: Apache-2.0
#include "cli/documents.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "api/codec.h"

namespace faultline::cli {
namespace {

constexpr std::size_t kLimit = 4 << 20;

// A file that cannot be read is bad input, whatever the system says.
Error unreadable(const std::string& file, int error) {
  Error e = from_errno(error, file);
  e.code = Errc::kInvalid;
  return e;
}

Result<std::string> read_all(std::istream& in, const std::string& name) {
  std::string text;
  char bytes[65536];
  while (in.read(bytes, sizeof bytes), in.gcount() > 0) {
    text.append(bytes, static_cast<std::size_t>(in.gcount()));
    if (text.size() > kLimit) return fail(Errc::kInvalid, name + ": longer than 4 MB");
  }
  if (in.bad()) return fail(unreadable(name, errno ? errno : EIO));
  return text;
}

}  // namespace

Result<std::string> read_document(Invocation& call, Console& console, const std::string& file,
                                  std::string& name) {
  name = file == "-" ? "<stdin>" : file;
  call.documents.push_back(name);
  if (file == "-") return read_all(console.in, name);
  std::error_code ec;
  if (std::filesystem::is_directory(file, ec)) return fail(unreadable(file, EISDIR));
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(unreadable(file, errno ? errno : EIO));
  return read_all(in, name);
}

Result<ExperimentFile> load_experiment(Invocation& call, Console& console,
                                       const std::string& file) {
  ExperimentFile out;
  auto text = read_document(call, console, file, out.name);
  if (!text) return fail(text.error());
  auto experiment = api::parse_experiment(*text, out.name);
  if (!experiment) return fail(experiment.error());
  const std::string& ns = experiment->metadata.namespace_;
  if (const auto asked = call.get("namespace"); asked && !ns.empty() && *asked != ns)
    return fail(Errc::kInvalid, out.name + ": metadata.namespace is " + ns + ", not " + *asked +
                                    " as --namespace says");
  out.text = std::move(*text);
  out.experiment = std::move(*experiment);
  return out;
}

Result<api::PodsFile> load_pods(Invocation& call, Console& console, const std::string& file) {
  std::string name;
  auto text = read_document(call, console, file, name);
  if (!text) return fail(text.error());
  return api::parse_pods_file(*text, name);
}

}  // namespace faultline::cli
