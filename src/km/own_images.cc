#include "km/own_images.h"

#include "base/files.h"

// clang-format off
__asm__(".section .rodata\n"
        ".global km_pause_program\n"
        ".global km_pause_program_end\n"
        "km_pause_program:\n"
        ".incbin \"" KM_PAUSE "\"\n"
        "km_pause_program_end:\n"
        ".byte 0\n"
        ".previous\n");
// clang-format on
extern "C" const char km_pause_program[];
extern "C" const char km_pause_program_end[];

namespace km {
namespace {

// Busybox prefers its own applets whatever PATH says; these names make them commands of a shell and of exec.
constexpr const char* kApplets[] = {
    "sh",   "ash",   "cat",  "chmod", "chown", "cp",     "cut",   "date",  "dd",    "df",     "du",       "echo",   "env",   "expr",    "false",
    "find", "free",  "grep", "head",  "hostname", "httpd", "id",   "ip",    "kill",  "ln",     "ls",       "mkdir",  "mount", "mv",      "nc",
    "netstat", "nslookup", "ping", "printf", "ps", "pwd",  "rm",   "sed",   "seq",   "sleep",  "sort",     "stat",   "stty",  "sync",    "tail",
    "tar",  "tee",   "test", "timeout", "top",  "touch",  "tr",    "true",  "umount", "uname", "uniq",     "vi",     "wc",    "wget",    "which",
    "xargs", "yes",  "awk",  "basename", "dirname", "base64", "md5sum", "sha256sum", "telnet", "traceroute", "udhcpc", "whoami", "readlink", "realpath",
};

}  // namespace

cri::SimpleImage pauseImage() {
  cri::SimpleImage image;
  image.name = kPauseImage;
  image.files.push_back({"pause", std::string(km_pause_program, km_pause_program_end), 0755, ""});
  image.entrypoint = {"/pause"};
  return image;
}

std::optional<cri::SimpleImage> busyboxImage() {
  auto program = readFile("/bin/busybox");
  if (!program.ok()) return std::nullopt;
  // A program that names an interpreter would not run in an image without libraries.
  if (program->find("/lib64/ld-linux") != std::string::npos) return std::nullopt;
  cri::SimpleImage image;
  image.name = "docker.io/library/busybox:1.35";
  auto directory = [&](const char* path, int mode = 0755) { image.files.push_back({path, "", mode, ""}); };
  directory("bin/");
  directory("dev/");
  directory("etc/");
  directory("home/");
  directory("proc/");
  directory("root/", 0700);
  directory("sys/");
  directory("tmp/", 01777);
  directory("var/");
  directory("www/");
  image.files.push_back({"bin/busybox", std::move(*program), 0755, ""});
  for (const char* name : kApplets) image.files.push_back({std::string("bin/") + name, "", 0777, "busybox"});
  image.files.push_back({"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n", 0644, ""});
  image.files.push_back({"etc/group", "root:x:0:\nnobody:x:65534:\n", 0644, ""});
  image.files.push_back({"www/index.html", "Hello from km\n", 0644, ""});
  image.command = {"sh"};
  image.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  return image;
}

}  // namespace km
