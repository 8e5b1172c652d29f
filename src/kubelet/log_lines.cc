#include "kubelet/log_lines.h"

namespace km::kubelet {

void LogFilter::feed(std::string_view bytes, std::string& out) {
  while (!bytes.empty() && !full()) {
    size_t end = bytes.find('\n');
    if (end == std::string_view::npos) {
      rest_.append(bytes);
      return;
    }
    if (rest_.empty()) {
      line(bytes.substr(0, end), out);
    } else {
      rest_.append(bytes.substr(0, end));
      line(rest_, out);
      rest_.clear();
    }
    bytes.remove_prefix(end + 1);
  }
}

void LogFilter::line(std::string_view text, std::string& out) {
  size_t a = text.find(' ');
  size_t b = a == std::string_view::npos ? a : text.find(' ', a + 1);
  if (b == std::string_view::npos) return;
  size_t c = text.find(' ', b + 1);
  std::string_view time = text.substr(0, a), stream = text.substr(a + 1, b - a - 1), tag = text.substr(b + 1, c == std::string_view::npos ? c : c - b - 1);
  std::string_view content = c == std::string_view::npos ? std::string_view() : text.substr(c + 1);
  if (options_.stream == "Stdout" && stream != "stdout") return;
  if (options_.stream == "Stderr" && stream != "stderr") return;
  if (since_) {
    auto t = codec::Time::parse(time);
    if (t.ok() && *t < *since_) return;
    since_.reset();  // the rest is later
  }
  bool partial = tag == "P" || tag.starts_with("P:");
  std::string shown;
  if (options_.timestamps && !partial_) shown.append(time).append(" ");
  shown.append(content);
  if (!partial) shown += '\n';
  partial_ = partial;
  if (left_) {
    if (static_cast<int64_t>(shown.size()) > *left_) shown.resize(static_cast<size_t>(*left_));
    *left_ -= static_cast<int64_t>(shown.size());
  }
  out += shown;
}

}  // namespace km::kubelet
