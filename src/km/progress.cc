#include "km/progress.h"

#include <fmt/format.h>

namespace km {

Progress::Progress(std::function<void(std::string_view)> out, bool terminal)
    : out_(std::move(out)), terminal_(terminal), start_(std::chrono::steady_clock::now()) {}

void Progress::begin(std::string_view part) {
  if (terminal_) out_(fmt::format("\033[2m  .. {}\033[0m", part));
}

void Progress::done(std::string_view part, std::string_view detail) {
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  if (terminal_) {
    out_(fmt::format("\r\033[K\033[32m  ok\033[0m {:<24} \033[2m{:>5.2f} s\033[0m  {}\n", part, seconds, detail));
  } else {
    out_(fmt::format("ok {:<24} {:>5.2f} s  {}\n", part, seconds, detail));
  }
}

void Progress::note(std::string_view text) { out_(fmt::format("{}\n", text)); }

void Progress::ready(const std::string& kubeconfig, const std::string& image) {
  std::string bold = terminal_ ? "\033[1m" : "", plain = terminal_ ? "\033[0m" : "";
  out_(fmt::format("\n{}The cluster is ready.{} Try:\n\n", bold, plain));
  out_(fmt::format("  export KUBECONFIG={}\n", kubeconfig));
  if (!image.empty()) {
    out_(fmt::format("  kubectl create deployment web --image={} --port=8080 -- httpd -f -p 8080 -h /www\n", image));
    out_("  kubectl expose deployment web --port=80 --target-port=8080 --type=NodePort\n\n");
  } else {
    out_("  kubectl get nodes\n  kubectl get pods -A\n\n");
  }
}

}  // namespace km
