#include "base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <mutex>

#include "base/duration.h"
#include "base/strings.h"

namespace km {
namespace log_internal {
std::atomic<int> maxVerbosity{0};
}

namespace {

struct VmoduleEntry {
  std::string pattern;
  int level;
};

// Never destroyed: threads may log while the process exits.
struct LogState {
  std::mutex mutex;
  std::atomic<int> verbosity{0};
  std::vector<VmoduleEntry> vmodule;
  std::shared_ptr<LogSink> sink;
  std::atomic<bool> hasSink{false};
  std::mutex sinkMutex;
};

LogState& state() {
  static LogState* s = new LogState;
  return *s;
}

// `*` matches any run, `?` any character.
bool globMatches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      p++, t++;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') p++;
  return p == pattern.size();
}

std::string_view baseName(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// The caller holds the state's mutex.
void updateMax(LogState& s) {
  int max = s.verbosity.load();
  for (const VmoduleEntry& e : s.vmodule) max = std::max(max, e.level);
  log_internal::maxVerbosity.store(max, std::memory_order_relaxed);
}

void appendDigits(std::string& out, long value, int width, char fill) {
  char text[24];
  int n = std::snprintf(text, sizeof text, "%ld", value);
  if (n < width) out.append(width - n, fill);
  out.append(text, n);
}

void appendHeader(std::string& out, Severity severity, const LogWhere& where) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  thread_local time_t second = -1;
  thread_local tm local;
  if (second != now.tv_sec) {
    localtime_r(&now.tv_sec, &local);
    second = now.tv_sec;
  }
  out += "IWEF"[static_cast<int>(severity)];
  appendDigits(out, local.tm_mon + 1, 2, '0');
  appendDigits(out, local.tm_mday, 2, '0');
  out += ' ';
  appendDigits(out, local.tm_hour, 2, '0');
  out += ':';
  appendDigits(out, local.tm_min, 2, '0');
  out += ':';
  appendDigits(out, local.tm_sec, 2, '0');
  out += '.';
  appendDigits(out, now.tv_nsec / 1000, 6, '0');
  out += ' ';
  appendDigits(out, getpid(), 7, ' ');
  out += ' ';
  out += baseName(where.file);
  out += ':';
  appendDigits(out, where.line, 0, ' ');
  out += "] ";
}

void writeStderr(std::string_view line) {
  while (!line.empty()) {
    ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
    if (n >= 0) {
      line.remove_prefix(n);
    } else if (errno == EAGAIN) {
      pollfd p{STDERR_FILENO, POLLOUT, 0};
      if (::poll(&p, 1, 1000) <= 0) return;  // a stuck reader must not stop the process: lose the line
    } else if (errno != EINTR) {
      return;
    }
  }
}

void emitLine(Severity severity, std::string& line) {
  if (line.empty() || line.back() != '\n') line += '\n';
  LogState& s = state();
  if (s.hasSink.load(std::memory_order_acquire)) {
    std::lock_guard lock(s.sinkMutex);
    if (s.sink) {
      (*s.sink)(severity, line);
      return;
    }
  }
  writeStderr(line);
}

void appendStringValue(std::string& out, std::string_view text) {
  if (text.find('\n') == std::string_view::npos) {
    appendQuoted(out, text);
    return;
  }
  // klog's form of several lines: each after a tab, between "<" and ">".
  out += "<\n";
  while (!text.empty()) {
    size_t end = text.find('\n');
    out += '\t';
    out += text.substr(0, end);
    out += '\n';
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  out += " >";
}

void writeStructured(Severity severity, const LogWhere& where, const Status* err, std::string_view message,
                     LogFields fields) {
  std::string line;
  line.reserve(256);
  appendHeader(line, severity, where);
  appendQuoted(line, message);
  if (err) {
    line += " err=";
    appendStringValue(line, err->ok() ? std::string_view("<nil>") : std::string_view(err->message()));
  }
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    field.value.appendTo(line, true);
  }
  emitLine(severity, line);
}

}  // namespace

LogValue::LogValue(const Status& status)
    : kind_(kText), text_(status.ok() ? std::string_view("<nil>") : std::string_view(status.message())) {}

void LogValue::appendTo(std::string& out, bool quoted) const {
  switch (kind_) {
    case kText:
      if (quoted) {
        appendStringValue(out, text_);
      } else {
        out += text_;
      }
      break;
    case kBool:
      out += int_ ? "true" : "false";
      break;
    case kInt:
      out += std::to_string(int_);
      break;
    case kUint:
      out += std::to_string(static_cast<uint64_t>(int_));
      break;
    case kDouble:
      out += formatGoFloat(double_);
      break;
    case kDuration: {
      std::string text = formatDuration(Duration(int_));
      if (quoted) {
        appendQuoted(out, text);
      } else {
        out += text;
      }
      break;
    }
    case kList: {
      out += '[';
      for (size_t i = 0; i < list_->size(); i++) {
        if (i > 0) out += quoted ? "," : " ";
        if (quoted) {
          appendQuoted(out, (*list_)[i]);
        } else {
          out += (*list_)[i];
        }
      }
      out += ']';
      break;
    }
  }
}

void logInfo(std::string_view message, LogFields fields, LogWhere where) {
  writeStructured(Severity::INFO, where, nullptr, message, fields);
}

void logWarning(std::string_view message, LogFields fields, LogWhere where) {
  writeStructured(Severity::WARNING, where, nullptr, message, fields);
}

void logError(const Status& err, std::string_view message, LogFields fields, LogWhere where) {
  writeStructured(Severity::ERROR, where, &err, message, fields);
}

void logError(std::string_view message, LogFields fields, LogWhere where) {
  writeStructured(Severity::ERROR, where, nullptr, message, fields);
}

void setVerbosity(int level) {
  LogState& s = state();
  std::lock_guard lock(s.mutex);
  s.verbosity.store(level);
  updateMax(s);
}

int verbosity() {
  return state().verbosity.load();
}

Status setVmodule(std::string_view spec) {
  std::vector<VmoduleEntry> entries;
  for (std::string_view part : split(spec, ',')) {
    if (part.empty()) continue;
    auto pair = cut(part, '=');
    if (!pair || pair->first.empty() || pair->second.empty()) {
      return errors::badRequest("syntax error: expect comma-separated list of filename=N");
    }
    auto level = parseInt64(pair->second);
    if (!level || *level > INT32_MAX) {
      return errors::badRequest("syntax error: expect comma-separated list of filename=N");
    }
    if (*level < 0) return errors::badRequest("negative value for vmodule level");
    entries.push_back({std::string(pair->first), static_cast<int>(*level)});
  }
  LogState& s = state();
  std::lock_guard lock(s.mutex);
  s.vmodule = std::move(entries);
  updateMax(s);
  return {};
}

void setLogSink(LogSink sink) {
  LogState& s = state();
  std::lock_guard lock(s.sinkMutex);
  s.sink = sink ? std::make_shared<LogSink>(std::move(sink)) : nullptr;
  s.hasSink.store(s.sink != nullptr, std::memory_order_release);
}

namespace log_internal {

bool verboseAt(int level, const char* file) {
  LogState& s = state();
  if (level <= s.verbosity.load(std::memory_order_relaxed)) return true;
  std::string_view name = baseName(file);
  name = name.substr(0, name.find('.'));
  std::lock_guard lock(s.mutex);
  for (const VmoduleEntry& e : s.vmodule) {
    if (globMatches(e.pattern, name)) return level <= e.level;
  }
  return false;
}

void writeFormatted(Severity severity, LogWhere where, std::string_view format,
                    std::initializer_list<LogValue> args) {
  std::string line;
  line.reserve(256);
  appendHeader(line, severity, where);
  const LogValue* next = args.begin();
  for (size_t i = 0; i < format.size(); i++) {
    char c = format[i];
    bool pair = i + 1 < format.size();
    if (c == '{' && pair && format[i + 1] == '}' && next != args.end()) {
      (next++)->appendTo(line, false);
      i++;
    } else if ((c == '{' || c == '}') && pair && format[i + 1] == c) {
      line += c;
      i++;
    } else {
      line += c;
    }
  }
  emitLine(severity, line);
  if (severity == Severity::FATAL) ::_exit(255);
}

void checkFailed(const char* condition, LogWhere where) {
  std::string line;
  appendHeader(line, Severity::FATAL, where);
  line += "Broken invariant: ";
  line += condition;
  emitLine(Severity::FATAL, line);
  std::abort();
}

}  // namespace log_internal
}  // namespace km
