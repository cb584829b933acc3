/* Prints what the probe inside of the library finds. */
#include <stddef.h>
#include <stdio.h>

void millstream_probe(char *text, size_t size);

int main(void) {
  char text[2000];
  millstream_probe(text, sizeof text);
  puts(text);
  return 0;
}
