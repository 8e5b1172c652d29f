#include "base/start_pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/strings.h"

namespace km {
namespace {

struct Mapping {
  uintptr_t begin = 0, end = 0;
  bool constant = false;  // private, of a file, not writable
  bool changed = true;    // has pages of its own: relocated constants look constant and are not
};

bool readHead(const std::string& line, Mapping& m) {
  unsigned long begin = 0, end = 0;
  char rights[5] = {};
  int path = 0;
  if (std::sscanf(line.c_str(), "%lx-%lx %4s %*s %*s %*s %n", &begin, &end, rights, &path) != 3) return false;
  std::string_view r = rights;
  m = {begin, end, (r == "r-xp" || r == "r--p") && path > 0 && static_cast<size_t>(path) < line.size() && line[path] == '/', true};
  return true;
}

std::vector<Mapping> mappings() {
  std::vector<Mapping> all;
  Result<std::string> text = readFile("/proc/self/smaps");
  if (!text.ok()) return all;
  for (std::string_view line : split(*text, '\n')) {
    Mapping m;
    if (!line.empty() && std::string_view("0123456789abcdef").find(line[0]) != std::string_view::npos && readHead(std::string(line), m)) {
      all.push_back(m);
    } else if (line.starts_with("Anonymous:") && !all.empty()) {
      all.back().changed = trimSpace(line.substr(sizeof "Anonymous:" - 1)) != "0 kB";
    }
  }
  return all;
}

}  // namespace

size_t releaseStartPages() {
  size_t released = 0;
  for (const Mapping& m : mappings()) {
    if (!m.constant || m.changed) continue;
    if (::madvise(reinterpret_cast<void*>(m.begin), m.end - m.begin, MADV_DONTNEED) == 0) released += m.end - m.begin;
  }
  return released;
}

}  // namespace km
