// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/program_copy.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

#include "agent/kernel/libbpf_log.h"

namespace faultline::agent {
namespace {

// Of a program with functions of its own whose address is taken the kernel wants to know which
// function begins where. It knows the types of the loaded one's in their order, but counts its own
// instructions; where they begin in ours follows from who calls them.
struct Functions {
  Fd btf;
  std::vector<bpf_func_info> info;
};

std::vector<std::uint32_t> function_starts(const bpf_program* program) {
  std::set<std::uint32_t> starts{0};
  const bpf_insn* code = bpf_program__insns(program);
  for (std::size_t i = 0; i < bpf_program__insn_cnt(program); ++i) {
    const bool call = code[i].code == (BPF_JMP | BPF_CALL) && code[i].src_reg == BPF_PSEUDO_CALL;
    const bool address =
        code[i].code == (BPF_LD | BPF_IMM | BPF_DW) && code[i].src_reg == BPF_PSEUDO_FUNC;
    if (call || address)
      starts.insert(static_cast<std::uint32_t>(static_cast<std::int64_t>(i) + code[i].imm + 1));
  }
  return {starts.begin(), starts.end()};
}

Functions functions_of(const bpf_program* loaded) {
  const auto starts = function_starts(loaded);
  Functions functions;
  functions.info.resize(starts.size());
  bpf_prog_info info{};
  info.nr_func_info = static_cast<std::uint32_t>(starts.size());
  info.func_info_rec_size = sizeof(bpf_func_info);
  info.func_info = reinterpret_cast<std::uintptr_t>(functions.info.data());
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(bpf_program__fd(loaded), &info, &size) != 0 ||
      info.nr_func_info != starts.size())
    return {};
  for (std::size_t i = 0; i < starts.size(); ++i) functions.info[i].insn_off = starts[i];
  functions.btf = Fd(bpf_btf_get_fd_by_id(info.btf_id));
  return functions;
}

// libbpf adds this one itself, without saying so.
std::uint32_t flags_of(const bpf_program* program) {
  std::string_view section = bpf_program__section_name(program);
  section = section.substr(0, section.find('/'));
  return bpf_program__flags(program) | (section.ends_with(".s") ? BPF_F_SLEEPABLE : 0U);
}

}  // namespace

// After the load libbpf's instructions are those the kernel was given: relocated, with the
// descriptors of the maps.
Result<Fd> load_copy(const bpf_program* loaded, int function_id) {
  const Functions functions = functions_of(loaded);
  LIBBPF_OPTS(
      bpf_prog_load_opts, opts, .expected_attach_type = bpf_program__expected_attach_type(loaded),
      .prog_flags = flags_of(loaded), .attach_btf_id = static_cast<std::uint32_t>(function_id));
  if (functions.btf.valid()) {
    opts.prog_btf_fd = static_cast<std::uint32_t>(functions.btf.get());
    opts.func_info = functions.info.data();
    opts.func_info_cnt = static_cast<std::uint32_t>(functions.info.size());
    opts.func_info_rec_size = sizeof(bpf_func_info);
  }
  const auto attempt = [&] {
    return bpf_prog_load(bpf_program__type(loaded), bpf_program__name(loaded), "GPL",
                         bpf_program__insns(loaded), bpf_program__insn_cnt(loaded), &opts);
  };
  int fd = attempt();
  if (fd >= 0) return Fd(fd);
  std::vector<char> log(65536);
  opts.log_level = 1;
  opts.log_buf = log.data();
  opts.log_size = static_cast<std::uint32_t>(log.size());
  fd = attempt();
  if (fd >= 0) return Fd(fd);
  Error error = from_libbpf(fd, std::string("cannot load ") + bpf_program__name(loaded));
  if (const std::string reason = verifier_reason(log.data()); !reason.empty())
    error.message += ": " + reason;
  return fail(std::move(error));
}

}  // namespace faultline::agent
