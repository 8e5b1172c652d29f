// Log lines as klog writes them:
//   I1124 08:20:00.000000   12345 file.cc:123] message            KM_LOG, KM_VLOG
//   I1124 08:20:00.000000   12345 file.cc:123] "Message" pod="ns/a" count=3      logInfo, KM_VINFO
// Any thread may log at any time, also during start and exit. A line is one write(2) to stderr, so lines of
// several threads and processes never mix. Arguments are views that live for the call only; nothing is
// formatted and no argument is evaluated when a KM_VLOG is off (one relaxed load and a compare).
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace km {

class FlagSet;

enum class Severity : uint8_t { INFO, WARNING, ERROR, FATAL };  // names as the macros spell them

// One value in a line. Text is written bare by the "{}" forms and quoted by the structured ones.
class LogValue {
 public:
  LogValue(std::string_view text) : kind_(kText), text_(text) {}    // NOLINT: implicit by intent, as all here
  LogValue(const std::string& text) : kind_(kText), text_(text) {}  // NOLINT
  LogValue(const char* text) : kind_(kText), text_(text ? text : "<nil>") {}  // NOLINT
  LogValue(bool value) : kind_(kBool), int_(value) {}                         // NOLINT
  LogValue(double value) : kind_(kDouble), double_(value) {}                  // NOLINT
  template <std::signed_integral T>
  requires(!std::same_as<T, bool>) LogValue(T value) : kind_(kInt), int_(value) {}  // NOLINT
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) LogValue(T value)
      : kind_(kUint), int_(static_cast<int64_t>(value)) {}             // NOLINT
  LogValue(Duration value) : kind_(kDuration), int_(value.count()) {}  // NOLINT: as Go prints it, "1.5s"
  LogValue(const Status& status);                                      // NOLINT: its message
  LogValue(const std::vector<std::string>& list) : kind_(kList), list_(&list) {}  // NOLINT

  void appendTo(std::string& out, bool quoted) const;

 private:
  enum Kind : uint8_t { kText, kBool, kInt, kUint, kDouble, kDuration, kList } kind_;
  std::string_view text_;
  union {
    int64_t int_ = 0;
    double double_;
    const std::vector<std::string>* list_;
  };
};

struct LogField {
  std::string_view key;
  LogValue value;
};
using LogFields = std::initializer_list<LogField>;
// Where a line comes from. std::source_location is not in clang 14, which builds the fuzzers.
struct LogWhere {
  const char* file;
  int line;
  static constexpr LogWhere current(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

// Structured lines (klog's InfoS, ErrorS): logInfo("Pod started", {{"pod", name}, {"after", took}}).
void logInfo(std::string_view message, LogFields fields = {}, LogWhere where = LogWhere::current());
void logWarning(std::string_view message, LogFields fields = {}, LogWhere where = LogWhere::current());
// `err` is written as err="..." before the fields.
void logError(const Status& err, std::string_view message, LogFields fields = {},
              LogWhere where = LogWhere::current());
void logError(std::string_view message, LogFields fields = {}, LogWhere where = LogWhere::current());

// Every "{}" of `format` is replaced by the next argument; "{{" and "}}" are braces. For widths and
// precisions use fmt::format at the call. FATAL ends the process with code 255 after the line.
#define KM_LOG(severity, format, ...)                                                             \
  ::km::log_internal::writeFormatted(::km::Severity::severity, ::km::LogWhere::current(), format, \
                                     {__VA_ARGS__})
#define KM_VLOG(level, format, ...)                             \
  do {                                                          \
    if (KM_VLOG_ON(level)) KM_LOG(INFO, format, ##__VA_ARGS__); \
  } while (0)
// KM_VINFO(2, "Message", {{"pod", name}}): structured and only at a verbosity.
#define KM_VINFO(level, ...)                           \
  do {                                                 \
    if (KM_VLOG_ON(level)) ::km::logInfo(__VA_ARGS__); \
  } while (0)
#define KM_VLOG_ON(level)                                                                              \
  (__builtin_expect((level) <= ::km::log_internal::maxVerbosity.load(std::memory_order_relaxed), 0) && \
   ::km::log_internal::verboseAt(level, __FILE__))

// A broken invariant of ours ends the process (SIGABRT) with a clear line. Never for outside input.
#define KM_CHECK(condition)                                                   \
  do {                                                                        \
    if (__builtin_expect(!(condition), 0))                                    \
      ::km::log_internal::checkFailed(#condition, ::km::LogWhere::current()); \
  } while (0)

// --v and --vmodule ("pattern=N,pattern=N": file names without extension, `*` and `?` match). Any thread.
void setVerbosity(int level);
int verbosity();
Status setVmodule(std::string_view spec);

// Adds -v/--v, --vmodule and the older --logtostderr to `flags`; they act on this process at once when
// parsed.
void addLogFlags(FlagSet& flags);

// Where lines go instead of stderr; `line` ends in '\n'. Called under a lock, from any thread. Null goes back
// to stderr.
using LogSink = std::function<void(Severity severity, std::string_view line)>;
void setLogSink(LogSink sink);

namespace log_internal {
extern std::atomic<int> maxVerbosity;  // of --v and all of --vmodule
bool verboseAt(int level, const char* file);
void writeFormatted(Severity severity, LogWhere where, std::string_view format,
                    std::initializer_list<LogValue> args);
[[noreturn]] void checkFailed(const char* condition, LogWhere where);
}  // namespace log_internal

}  // namespace km
