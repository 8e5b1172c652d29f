// The process_* metrics, with client_golang's names, from /proc/self.
#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>

#include "base/clock.h"
#include "base/files.h"
#include "base/metrics.h"
#include "base/strings.h"

namespace km {
namespace {

// The fields of /proc/self/stat from the third on: the second, the program's name, may hold blanks and
// parentheses.
std::vector<std::string> statFields() {
  std::vector<std::string> fields;
  Result<std::string> text = readFile("/proc/self/stat");
  if (!text.ok()) return fields;
  size_t close = text->rfind(')');
  if (close == std::string::npos) return fields;
  std::string_view rest = trimSpace(std::string_view(*text).substr(close + 1));
  for (std::string_view part : split(rest, ' ')) fields.emplace_back(part);
  return fields;
}

double statField(int number) {  // as proc(5) numbers them
  auto fields = statFields();
  size_t i = static_cast<size_t>(number) - 3;
  return i < fields.size() ? std::strtod(fields[i].c_str(), nullptr) : 0;
}

double cpuSeconds() {
  rusage usage;
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double openFds() {
  DIR* dir = ::opendir("/proc/self/fd");
  if (!dir) return 0;
  double n = 0;
  while (dirent* entry = ::readdir(dir)) n += entry->d_name[0] != '.';
  ::closedir(dir);
  return n - 1;  // without the one that reads the directory
}

double limitOf(decltype(RLIMIT_NOFILE) resource) {
  rlimit limit;
  if (::getrlimit(resource, &limit) != 0) return 0;
  return limit.rlim_cur == RLIM_INFINITY ? 18446744073709551615.0 : static_cast<double>(limit.rlim_cur);
}

double startTime() {
  Result<std::string> stat = readFile("/proc/stat");
  if (!stat.ok()) return 0;
  size_t at = stat->find("\nbtime ");
  if (at == std::string::npos) return 0;
  return std::strtod(stat->c_str() + at + 7, nullptr) +
         statField(22) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace

void MetricRegistry::addProcessMetrics() {
  auto add = [this](std::string_view name, std::string_view help, MetricType type, double (*read)()) {
    keep(callback(name, help, type, {}, [read](MetricEmitter& out) { out.emit({}, read()); }));
  };
  add("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", MetricType::kCounter,
      cpuSeconds);
  add("process_resident_memory_bytes", "Resident memory size in bytes.", MetricType::kGauge,
      [] { return statField(24) * static_cast<double>(::sysconf(_SC_PAGESIZE)); });
  add("process_virtual_memory_bytes", "Virtual memory size in bytes.", MetricType::kGauge,
      [] { return statField(23); });
  add("process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes.",
      MetricType::kGauge, [] { return limitOf(RLIMIT_AS); });
  add("process_open_fds", "Number of open file descriptors.", MetricType::kGauge, openFds);
  add("process_max_fds", "Maximum number of open file descriptors.", MetricType::kGauge,
      [] { return limitOf(RLIMIT_NOFILE); });
  add("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
      MetricType::kGauge, [] {
        static const double started = startTime();
        return started;
      });
}

}  // namespace km
