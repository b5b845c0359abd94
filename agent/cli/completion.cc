// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/completion.h"

#include <fmt/format.h>

namespace bonsai::cli {
namespace {

constexpr char kScript[] = R"(# Completion of agentctl for bash: source <(agentctl completion bash)
_agentctl() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command= word words
  local i from=()
  COMPREPLY=()
  case $previous in
    -o|--output) COMPREPLY=($(compgen -W "table json yaml dot" -- "$current")); return ;;
    --objects) COMPREPLY=($(compgen -d -- "$current")); return ;;
    -f|--socket|--config|--current) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --why) compopt -o nospace 2>/dev/null; COMPREPLY=($(compgen -W "map/ program/ function/" -- "$current")); return ;;
    analyze) COMPREPLY=($(compgen -f -- "$current")); return ;;
    life) COMPREPLY=($(compgen -W "seed pause resume step speed --once" -- "$current")); return ;;
    seed) COMPREPLY=($(compgen -W "glider gun random" -- "$current") $(compgen -f -- "$current")); return ;;
    explain) COMPREPLY=($(compgen -W "map program function setting" -- "$current")); return ;;
    completion) COMPREPLY=($(compgen -W "bash" -- "$current")); return ;;
  esac
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case $word in
      {names}) command=$word; break ;;
    esac
  done
  if [[ $command == explain && $previous == @(map|program|function|setting) && $current != -* ]]; then
    for ((i = 1; i < COMP_CWORD; i++)); do
      [[ ${{COMP_WORDS[i]}} == --@(objects|socket) ]] && from+=("${{COMP_WORDS[@]:i:2}}")
    done
    words=$("${{COMP_WORDS[0]}}" explain "$previous" "${{from[@]}}" 2>/dev/null)
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    return
  fi
  case $command in
    "") words="{all} {common}" ;;
{cases}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -F _agentctl agentctl
)";

}  // namespace

std::string BashCompletion(const std::vector<std::string>& common,
                           const std::vector<CompletionCommand>& commands) {
  const std::string shared = fmt::format("{}", fmt::join(common, " "));
  std::string names, all, cases;
  for (const CompletionCommand& command : commands) {
    names += (names.empty() ? "" : "|") + command.name;
    all += (all.empty() ? "" : " ") + command.name;
    cases += fmt::format("    {}) words=\"{} {}\" ;;\n", command.name,
                         fmt::join(command.options, " "), shared);
  }
  return fmt::format(kScript, fmt::arg("names", names), fmt::arg("all", all),
                     fmt::arg("common", shared), fmt::arg("cases", cases));
}

}  // namespace bonsai::cli
